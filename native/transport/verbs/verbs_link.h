#pragma once
#include <memory>
#include <string>

#include "transport/link.h"
#include "transport/verbs/inbox.h"
#include "transport/verbs/queue_pair.h"

namespace espalier::transport::verbs {

/// What the two ends of a link have told each other.
struct LinkNumbers {
  uint64_t nonce = 0;          ///< marks this link's frames where the tag travels in them
  uint32_t ownFirst = 0;       ///< sequence number of this end's first frame
  uint32_t peerFirst = 0;
  uint32_t peerReceives = 0;   ///< receives that the peer has posted
};

/// A link over one queue pair. UC drops a frame that finds no receive and tells nobody, so this end sends only what the
/// peer has said it has room for, and numbers every frame: one that is lost, doubled or out of order is noticed and
/// never used.
class VerbsLink final : public Link {
 public:
  VerbsLink(std::unique_ptr<QueuePair> pair, const LinkNumbers& numbers);
  ~VerbsLink() override = default;

  /// Before the link is used: one frame outside of all counts, to see whether the way is open.
  void sendProbe();
  /// Whether one of the peer's has come. Also false when something failed: see why().
  bool heardProbe();
  bool usable() const { return state_ == LinkResult::Done; }

  LinkKind kind() const override { return LinkKind::Verbs; }
  LinkResult trySend(const Header& header, const void* payload) override;
  void aim(std::byte* target, size_t bytes) override { inbox_.aim(target, bytes); }
  LinkResult tryReceive(Message& message) override;
  void release() override;
  void progress() override { poll(); }
  void leave() override;
  int waitFd() const override { return pair_->eventFd(); }
  bool prepareToWait() override;
  void park(bool forReceive, int64_t timeoutUs) override;
  uint64_t bytesHeard() const override { return expected_ * kFrameBytes; }
  const char* why() const override { return why_.c_str(); }
  bool brokeHere() const override { return portDown_; }

  /// Receives beyond those that the peer may count on: probes land there.
  static constexpr uint32_t kSpareReceives = 6;

 private:
  struct Arrival {
    Tag tag;
    uint32_t bytes = 0;
  };
  /// A count of what goes round a ring of slots, and the slot of the next: to divide takes longer than all else of it.
  struct Round {
    uint64_t count = 0;
    uint32_t slot = 0;
    void advance(uint32_t slots) {
      ++count;
      if (++slot == slots) slot = 0;
    }
  };
  bool poll();
  void handle(const QueuePair::Event& event);
  void failCompletion(int status);
  bool arrive(const QueuePair::Event& event);
  bool readTag(const QueuePair::Event& event, Tag& tag);
  void absorb();
  void giveBack();
  void repost();
  void tellFreed();
  uint32_t window() const;
  void stage(uint32_t index, QueuePair::Send frame, uint32_t flags, uint32_t dataBytes);
  void stageNext(uint32_t index, uint32_t flags, uint32_t dataBytes, bool wantsCompletion);
  void stageData(uint32_t index, bool first, const Header& header, const std::byte* payload);
  bool post();
  LinkResult sendFrame(const Header& header, const std::byte* payload);
  LinkResult sendStream(const Header& header, const std::byte* payload);
  void sendControl(uint8_t flags);
  Tag tagOf(uint32_t flags) const;
  [[gnu::cold]] bool fail(LinkResult state, std::string why);
  bool portIsUp(std::string& why);
  void checkPort();

  std::unique_ptr<QueuePair> pair_;
  const LinkNumbers numbers_;
  const uint32_t headBytes_;  ///< of a frame, for the tag
  Inbox inbox_;
  LinkResult state_ = LinkResult::Done;
  std::string why_;

  // Sending. Counts are of frames, probes apart.
  Round sent_;
  uint64_t completed_ = 0, peerFreed_ = 0;
  uint32_t unsignalled_ = 0;  ///< sent since the last that asked for a completion
  bool sending_ = false, headed_ = false, goodbyeSent_ = false;
  uint32_t streamAt_ = 0, streamBytes_ = 0;
  Predictor predictor_;

  // Receiving. Arrivals count probes too, like the slots that they came to.
  Round arrived_, absorbed_, reposted_;
  uint64_t expected_ = 0;  ///< frames that came in order, probes apart
  uint64_t freed_ = 0, toldFreed_ = 0;
  std::unique_ptr<Arrival[]> arrivals_;
  bool portDown_ = false, heardProbe_ = false, goodbyeSeen_ = false;
  uint32_t idleParks_ = 0;
  int64_t portCheckedMs_ = 0;
};

}  // namespace espalier::transport::verbs
