#include "transport/verbs/settle.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "transport/auth/sha256.h"
#include "transport/verbs/reasons.h"
#include "transport/verbs/verbs_link.h"

namespace espalier::transport::verbs {
namespace {

constexpr auto kProbeEvery = std::chrono::milliseconds(300);
/// Frames come within microseconds, but the first may wait for a neighbour's address. No more probes than the peer
/// has spare receives for.
constexpr auto kProbeFor = std::chrono::milliseconds(1'500);
constexpr int kGlanceMs = 1;

/// What one end tells the other of itself.
struct Greeting {
  std::string trouble;
  End end;
  GidChoice gids;
  uint64_t nonce = 0;
  uint32_t firstFrame = 0;

  void write(ByteWriter& writer) const {
    writer.putText(trouble);
    writer.put(end.number);
    writer.put(end.firstPacket);
    writer.put(static_cast<uint8_t>(end.mtu));
    writer.put(static_cast<uint8_t>(end.sendOnly));
    writer.put(static_cast<uint8_t>(gids.ipv4Index >= 0));
    writer.putRaw(gids.ipv4);
    writer.put(static_cast<uint8_t>(gids.linkLocalIndex >= 0));
    writer.putRaw(gids.linkLocal);
    writer.put(nonce);
    writer.put(firstFrame);
  }
  bool read(ByteView bytes) {
    ByteReader reader(bytes);
    trouble = reader.getText();
    end.number = reader.get<uint32_t>();
    end.firstPacket = reader.get<uint32_t>();
    end.mtu = reader.get<uint8_t>();
    end.sendOnly = reader.get<uint8_t>() != 0;
    gids.ipv4Index = reader.get<uint8_t>() != 0 ? 0 : -1;
    reader.getRaw(gids.ipv4);
    gids.linkLocalIndex = reader.get<uint8_t>() != 0 ? 0 : -1;
    reader.getRaw(gids.linkLocal);
    nonce = reader.get<uint64_t>();
    firstFrame = reader.get<uint32_t>();
    return reader.ok();
  }
};

class Settlement {
 public:
  Settlement(Shelf& shelf, const std::string& device, const Conversation& talk)
      : shelf_(shelf), name_(device), talk_(talk) {}

  Status run(std::unique_ptr<Link>& link, std::string& why) {
    prepare();
    if (greet() && connect() && probe()) {
      link = std::move(link_);
    } else {
      why = trouble_;
    }
    return ended_;
  }

 private:
  /// Sets up this end as far as it goes alone.
  void prepare() {
    const std::shared_ptr<Device> device = shelf_.take(name_, own_.trouble);
    if (!device) return;
    name_ = device->name();
    own_.gids = device->gids();
    Digest random{};
    if (own_.gids.ipv4Index < 0 && own_.gids.linkLocalIndex < 0) {
      own_.trouble = explain(Step::Gid, EADDRNOTAVAIL, name_);
      return;
    }
    if (!randomNonce(random)) {
      own_.trouble = "this host offers no random numbers";
      return;
    }
    std::memcpy(&own_.nonce, random.data(), sizeof own_.nonce);
    std::memcpy(&own_.firstFrame, random.data() + 8, sizeof own_.firstFrame);
    own_.firstFrame %= Tag::kModulus;
    std::memcpy(&own_.end.firstPacket, random.data() + 12, sizeof own_.end.firstPacket);
    own_.end.firstPacket &= 0xffffff;
    own_.end.mtu = device->activeMtu();
    own_.end.sendOnly = device->sendOnly();
    pair_ = QueuePair::create(device, own_.trouble);
    if (pair_) own_.end.number = pair_->number();
  }

  /// False, like all that follow: one of the two cannot, and both know; or the conversation has ended.
  bool greet() {
    ByteWriter writer;
    own_.write(writer);
    Frame frame;
    if (!say(FrameType::VerbsEnd, writer.bytes()) || !hear(FrameType::VerbsEnd, frame)) return false;
    if (!peer_.read(frame.payload)) return goesOn(damaged());
    trouble_ = own_.trouble;
    if (own_.trouble.empty() && !peer_.trouble.empty()) return blame(peer_.trouble);
    return own_.trouble.empty();
  }

  bool connect() {
    std::string trouble;
    int gidIndex = own_.gids.ipv4Index;
    own_.end.gid = own_.gids.ipv4;
    peer_.end.gid = peer_.gids.ipv4;
    if (own_.gids.ipv4Index < 0 || peer_.gids.ipv4Index < 0) {
      gidIndex = own_.gids.linkLocalIndex;
      own_.end.gid = own_.gids.linkLocal;
      peer_.end.gid = peer_.gids.linkLocal;
      if (gidIndex < 0 || peer_.gids.linkLocalIndex < 0) trouble = explain(Step::Gid, EAFNOSUPPORT, name_);
    }
    if (trouble.empty()) pair_->connect(own_.end, peer_.end, gidIndex, trouble);
    uint32_t peerReceives = 0;
    if (!agree(FrameType::VerbsReady, trouble, pair_->receiveSlots(), peerReceives)) return false;
    const LinkNumbers numbers{own_.nonce ^ peer_.nonce, own_.firstFrame, peer_.firstFrame, peerReceives};
    link_ = std::make_unique<VerbsLink>(std::move(pair_), numbers);
    return true;
  }

  /// Sends until the peer has heard, listens until this end has.
  bool probe() {
    const Deadline until = std::min(Clock::now() + kProbeFor, talk_.deadline);
    Deadline next = Clock::now();
    bool told = false, peerHeard = false;
    while (!told || !peerHeard) {
      const Deadline now = Clock::now();
      // Else every glance would end at once, and this loop spin until its deadline.
      if (waitFor(talk_.wakeFd, POLLIN, now, -1)) return goesOn(talk_.failureOf(FrameResult::NotYet));
      if (!peerHeard && now >= next && now < until) {
        link_->sendProbe();
        next = now + kProbeEvery;
      }
      const bool heard = link_->heardProbe();
      if (!told && (heard || now >= until || !link_->usable())) {
        const std::string trouble = heard ? "" : link_->usable() ? explain(Step::Probe, 0, name_) : link_->why();
        ByteWriter writer;
        writer.putText(trouble);
        if (!say(FrameType::VerbsReady, writer.bytes())) return false;
        told = true;
        trouble_ = trouble;
      }
      if (peerHeard) continue;
      Frame frame;
      const Deadline glance = told && !trouble_.empty() ? talk_.deadline : deadlineAfterMs(kGlanceMs);
      const FrameResult result =
          receiveFrame(talk_.fd, talk_.reader, frame, std::min(glance, talk_.deadline), talk_.wakeFd);
      if (result == FrameResult::NotYet && Clock::now() < talk_.deadline && glance != talk_.deadline) continue;
      if (result != FrameResult::Frame) return goesOn(talk_.failureOf(result));
      ByteReader reader(frame.payload);
      peerTrouble_ = reader.getText();
      if (frame.type != FrameType::VerbsReady || !reader.ok()) return goesOn(damaged());
      peerHeard = true;
    }
    if (trouble_.empty() && !peerTrouble_.empty()) return blame(peerTrouble_);
    return trouble_.empty();
  }

  /// Tells the peer whether this end got on, and hears the same of it.
  bool agree(FrameType type, const std::string& trouble, uint32_t own, uint32_t& peer) {
    ByteWriter writer;
    writer.putText(trouble);
    writer.put(own);
    Frame frame;
    if (!say(type, writer.bytes()) || !hear(type, frame)) return false;
    ByteReader reader(frame.payload);
    const std::string peerTrouble = reader.getText();
    peer = reader.get<uint32_t>();
    if (!reader.ok()) return goesOn(damaged());
    constexpr uint32_t kLeast = VerbsLink::kSpareReceives + 8, kMost = Tag::kModulus / 4;
    trouble_ = trouble;
    if (!trouble.empty()) return false;
    if (!peerTrouble.empty()) return blame(peerTrouble);
    if (peer < kLeast || peer > kMost) return blame("its depth is " + std::to_string(peer));
    return true;
  }

  bool say(FrameType type, ByteView payload) { return goesOn(talk_.say(type, payload)); }
  bool hear(FrameType type, Frame& frame) { return goesOn(talk_.hear(type, frame)); }

  bool blame(const std::string& what) {
    trouble_ = explain(Step::Peer, 0, "", what);
    return false;
  }
  bool goesOn(Status status) {
    ended_ = std::move(status);
    return ended_.ok();
  }

  Shelf& shelf_;
  std::string name_;
  const Conversation& talk_;
  Greeting own_, peer_;
  std::unique_ptr<QueuePair> pair_;
  std::unique_ptr<VerbsLink> link_;
  std::string trouble_, peerTrouble_;
  Status ended_;  ///< what befell the conversation
};

}  // namespace

Status settle(Shelf& shelf, const std::string& device, const Conversation& talk, std::unique_ptr<Link>& link,
              std::string& why) {
  return Settlement(shelf, device, talk).run(link, why);
}

}  // namespace espalier::transport::verbs
