#include "transport/verbs/verbs_link.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "transport/verbs/frame_size.h"
#include "transport/verbs/reasons.h"

namespace espalier::transport::verbs {
namespace {

static_assert(Inbox::kStages <= QueuePair::kMostKept);

/// In front of a frame's data where there is no immediate data.
struct FrameHead {
  uint32_t tag = 0;
  uint32_t bytes = 0;  ///< of data behind it
  uint64_t nonce = 0;
};
static_assert(sizeof(FrameHead) == 16);

/// Frames of the peer's room that data leaves free, so that a credit or a goodbye always finds some.
constexpr uint32_t kReservedFrames = 4;
/// Part of the receives that may wait to be posted again while frames keep coming.
constexpr uint32_t kRepostShare = 8;
constexpr uint64_t kUncountedId = uint64_t{1} << 62;
constexpr int64_t kPortCheckMs = 100;
constexpr int64_t kLongestNapUs = 1'000;
constexpr auto kFarewell = std::chrono::milliseconds(200);

int64_t nowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

VerbsLink::VerbsLink(std::unique_ptr<QueuePair> pair, const LinkNumbers& numbers)
    : pair_(std::move(pair)),
      numbers_(numbers),
      headBytes_(pair_->usesImmediate() ? 0 : sizeof(FrameHead)),
      inbox_(kFrameBytes - headBytes_),
      arrivals_(new Arrival[pair_->receiveSlots()]) {}

// --- sending ---

inline uint32_t VerbsLink::window() const {
  const auto room = static_cast<int64_t>(numbers_.peerReceives - kSpareReceives - kReservedFrames) -
                    static_cast<int64_t>(sent_ - peerFreed_);
  const auto slots = static_cast<int64_t>(pair_->sendSlots()) - static_cast<int64_t>(sent_ - completed_);
  return static_cast<uint32_t>(std::max<int64_t>(0, std::min(room, slots)));
}

inline Tag VerbsLink::tagOf(uint32_t flags) const {
  return {static_cast<uint32_t>((numbers_.ownFirst + sent_) % Tag::kModulus), static_cast<uint32_t>(freed_ % Tag::kModulus),
          static_cast<uint8_t>(flags)};
}

inline void VerbsLink::stamp(QueuePair::Send& send, const Tag& tag, uint32_t dataBytes) {
  send.immediate = tag.pack();
  send.bytes = dataBytes + headBytes_;
  if (headBytes_ == 0) return;
  const FrameHead head{tag.pack(), dataBytes, numbers_.nonce};
  std::memcpy(pair_->sendSlot(send.slot), &head, sizeof head);
}

inline uint32_t VerbsLink::fill(QueuePair::Send& send, uint32_t flags, const std::byte* payload) {
  send.slot = static_cast<uint32_t>(sent_ % pair_->sendSlots());
  std::byte* data = pair_->sendSlot(send.slot) + headBytes_;
  const uint32_t bytes = std::min(streamBytes_ - streamAt_, kFrameBytes - headBytes_);
  const uint32_t headerBytes = headed_ ? sizeof(Header) : 0;
  uint32_t at = 0;
  if (streamAt_ < headerBytes) {
    std::memcpy(data, &header_, sizeof(Header));
    at = headerBytes;
  }
  if (bytes > at) std::memcpy(data + at, payload + (streamAt_ + at - headerBytes), bytes - at);
  const uint32_t padded = paddedFrame(bytes);
  if (padded > bytes) std::memset(data + bytes, 0, padded - bytes);
  streamAt_ += bytes;
  stamp(send, tagOf(flags), padded);
  ++sent_;
  send.id = sent_;
  send.signalled = sent_ % (pair_->sendSlots() / 4) == 0;
  return bytes;
}

inline bool VerbsLink::post(std::span<const QueuePair::Send> sends) {
  toldFreed_ = freed_;
  const int failed = pair_->postSends(sends);
  return failed == 0 || fail(LinkResult::Broken, pair_->explainPost(failed));
}

LinkResult VerbsLink::trySend(const Header& header, const void* payload) {
  if (state_ != LinkResult::Done) return state_;
  if (!sending_) {
    headed_ = !(predictor_.guess() == header);
    header_ = header;
    streamAt_ = 0;
    streamBytes_ = header.pieceBytes + (headed_ ? sizeof(Header) : 0);
    sending_ = true;
  }
  bool first = streamAt_ == 0;
  while (first || streamAt_ < streamBytes_) {
    if (window() == 0) poll();
    if (state_ != LinkResult::Done) return state_;
    uint32_t room = std::min(window(), QueuePair::kMostSends);
    if (room == 0) return goodbyeSeen_ ? LinkResult::Left : LinkResult::NotYet;
    QueuePair::Send sends[QueuePair::kMostSends];
    uint32_t count = 0;
    while (count < room && (first || streamAt_ < streamBytes_)) {
      const unsigned headed = headed_ ? unsigned{Tag::Headed} : 0u;
      const uint32_t flags = first ? unsigned{Tag::First} | headed : 0u;
      fill(sends[count], flags, static_cast<const std::byte*>(payload));
      ++count;
      first = false;
    }
    if (!post({sends, count})) return state_;
  }
  sending_ = false;
  predictor_.learn(header);  // while the message is on its way
  predictor_.think();
  return LinkResult::Done;
}

void VerbsLink::sendControl(uint8_t flags) {
  // Credits leave the last frame to a goodbye.
  const bool goodbye = (flags & Tag::Goodbye) != 0;
  const uint64_t most = numbers_.peerReceives - kSpareReceives - (goodbye ? 0 : 1);
  if (sent_ - peerFreed_ >= most || sent_ - completed_ >= pair_->sendSlots()) return;
  QueuePair::Send send;
  send.slot = static_cast<uint32_t>(sent_ % pair_->sendSlots());
  const uint32_t bytes = paddedFrame(0);
  std::memset(pair_->sendSlot(send.slot) + headBytes_, 0, bytes);
  stamp(send, tagOf(flags | Tag::Control), bytes);
  ++sent_;
  send.id = sent_;
  send.signalled = goodbye || sent_ % (pair_->sendSlots() / 4) == 0;
  goodbyeSent_ = goodbyeSent_ || goodbye;
  post({&send, 1});
}

void VerbsLink::sendProbe() {
  QueuePair::Send send;
  send.slot = pair_->sendSlots();
  const uint32_t bytes = kFrameBytes - headBytes_;  // a full frame: the MTU is on trial too
  stamp(send, tagOf(Tag::Probe | Tag::Control), bytes);
  send.id = kUncountedId;
  send.signalled = true;
  post({&send, 1});
}

void VerbsLink::leave() {
  if (state_ != LinkResult::Done || sending_) return;
  poll();
  sendControl(Tag::Goodbye);
  // What is with the device still would be lost with the queue pair.
  const auto until = std::chrono::steady_clock::now() + kFarewell;
  while (goodbyeSent_ && completed_ < sent_ && state_ == LinkResult::Done && std::chrono::steady_clock::now() < until) {
    if (!poll()) usleep(50);
  }
}

// --- receiving ---

void VerbsLink::failCompletion(int status) {
  std::string why;
  // A port that went down says more than what it did to the queue pair.
  if (portIsUp(why)) why = explain(Step::Completion, status, pair_->device().name());
  fail(LinkResult::Broken, why);
}

inline bool VerbsLink::readTag(const QueuePair::Event& event, Tag& tag) {
  if (pair_->usesImmediate()) {
    if (!event.hasImmediate) return fail(LinkResult::Corrupted, "a frame came without its tag");
    tag = Tag::unpack(event.immediate);
    return true;
  }
  FrameHead head;
  std::memcpy(&head, pair_->receiveSlot(static_cast<uint32_t>(event.id)), sizeof head);
  if (event.bytes < sizeof head || head.nonce != numbers_.nonce || head.bytes != event.bytes - sizeof head) {
    return fail(LinkResult::Corrupted, "a frame is none of this link's");
  }
  tag = Tag::unpack(head.tag);
  return true;
}

inline bool VerbsLink::arrive(const QueuePair::Event& event) {
  const uint32_t slots = pair_->receiveSlots();
  if (event.id != arrived_ % slots || arrived_ - reposted_ >= slots || event.bytes > kFrameBytes) {
    return fail(LinkResult::Corrupted, "the device filled a receive out of turn");
  }
  Tag tag;
  if (!readTag(event, tag)) return false;
  if ((tag.flags & Tag::Probe) != 0) {
    heardProbe_ = true;
  } else {
    const uint32_t due = static_cast<uint32_t>((numbers_.peerFirst + expected_) % Tag::kModulus);
    if (tag.sequence != due) {
      return fail(LinkResult::Lost, "frame " + std::to_string(tag.sequence) + " came where frame " + std::to_string(due) +
                                        " was due: some were lost, doubled or out of order");
    }
    ++expected_;
    const uint32_t freed = stepsBetween(static_cast<uint32_t>(peerFreed_ % Tag::kModulus), tag.freed);
    if (peerFreed_ + freed > sent_) return fail(LinkResult::Corrupted, "the peer has freed more than it was sent");
    peerFreed_ += freed;
  }
  arrivals_[arrived_ % slots] = {tag, event.bytes - headBytes_};
  ++arrived_;
  return true;
}

void VerbsLink::repost() {
  const auto count = static_cast<uint32_t>(absorbed_ - reposted_);
  if (count == 0 || state_ != LinkResult::Done) return;
  const uint32_t slots = pair_->receiveSlots();
  std::string why;
  if (!pair_->postReceives(static_cast<uint32_t>(reposted_ % slots), count, why)) {
    fail(LinkResult::Broken, why);
    return;
  }
  for (; reposted_ != absorbed_; ++reposted_) {
    if ((arrivals_[reposted_ % slots].tag.flags & Tag::Probe) == 0) ++freed_;
  }
}

void VerbsLink::tellFreed() {
  const uint32_t worthTelling = (pair_->receiveSlots() - kSpareReceives) / 2;
  if (freed_ - toldFreed_ >= worthTelling && state_ == LinkResult::Done) sendControl(0);
}

/// Receives to the device, credits to the peer. In batches: the message that took them is waited for.
inline void VerbsLink::giveBack() {
  repost();
  tellFreed();
  inbox_.think();
}

inline void VerbsLink::absorb() {
  const uint32_t slots = pair_->receiveSlots();
  for (; absorbed_ != arrived_ && state_ == LinkResult::Done; ++absorbed_) {
    const Arrival& arrival = arrivals_[absorbed_ % slots];
    if ((arrival.tag.flags & Tag::Control) != 0) {
      if ((arrival.tag.flags & Tag::Goodbye) != 0) goodbyeSeen_ = true;
      continue;
    }
    const auto slot = static_cast<uint32_t>(absorbed_ % slots);
    const std::byte* data = pair_->receiveSlot(slot) + headBytes_;
    const Inbox::Result result = inbox_.take({arrival.tag, data, arrival.bytes});
    if (result == Inbox::Result::Kept) pair_->keep(slot);
    if (result == Inbox::Result::Full) break;
    if (result == Inbox::Result::Wrong) fail(LinkResult::Corrupted, inbox_.why());
  }
  if (absorbed_ - reposted_ >= pair_->receiveSlots() / kRepostShare) giveBack();
}

inline void VerbsLink::handle(const QueuePair::Event& event) {
  if (state_ != LinkResult::Done) return;
  if (event.status != 0) [[unlikely]] {
    failCompletion(event.status);
  } else if (event.isReceive) {
    arrive(event);
  } else if (event.id != kUncountedId) {
    completed_ = event.id;  // in order: all before it are done as well
  }
}

/// Handles all that has completed. True if anything had.
bool VerbsLink::poll() {
  bool any = false;
  for (;;) {
    if (state_ != LinkResult::Done) return any;
    const int count = pair_->poll([this](const QueuePair::Event& event) { handle(event); });
    if (count < 0) fail(LinkResult::Broken, pair_->explainPoll(count));
    if (count == 0) giveBack();  // whoever looks in vain has the time
    if (count <= 0) break;
    any = true;
    absorb();
    if (count < static_cast<int>(QueuePair::kMostEvents)) break;
  }
  return any;
}

LinkResult VerbsLink::tryReceive(Message& message) {
  if (!inbox_.ready()) {
    poll();
    if (!inbox_.ready()) {
      if (state_ != LinkResult::Done) return state_;
      return goodbyeSeen_ && absorbed_ == arrived_ ? LinkResult::Left : LinkResult::NotYet;
    }
  }
  message = inbox_.front();
  return LinkResult::Done;
}

void VerbsLink::release() {
  if (const std::byte* kept = inbox_.release()) pair_->giveBack(kept - headBytes_);
  if (absorbed_ != arrived_) absorb();
}

bool VerbsLink::heardProbe() {
  poll();
  return heardProbe_ && usable();
}

// --- waiting ---

bool VerbsLink::prepareToWait() {
  checkPort();
  if (state_ != LinkResult::Done) return true;  // there is nothing to wait for but the group's verdict
  pair_->arm();
  return !poll();
}

void VerbsLink::park(bool forReceive, int64_t timeoutUs) {
  checkPort();
  if (poll()) {
    idleParks_ = 0;
    return;
  }
  const int64_t napUs = std::min<int64_t>(int64_t{20} << std::min(idleParks_++ / 8, 6u), kLongestNapUs);
  usleep(static_cast<useconds_t>(std::min(napUs, timeoutUs)));
}

void VerbsLink::checkPort() {
  const int64_t now = nowMs();
  if (state_ != LinkResult::Done || now - portCheckedMs_ < kPortCheckMs) return;
  portCheckedMs_ = now;
  std::string why;
  if (!portIsUp(why)) fail(LinkResult::Broken, why);
}

bool VerbsLink::portIsUp(std::string& why) {
  portDown_ = !pair_->device().active(why);
  return !portDown_;
}

bool VerbsLink::fail(LinkResult state, std::string why) {
  if (state_ == LinkResult::Done) {
    state_ = state;
    why_ = std::move(why);
  }
  return false;
}

}  // namespace espalier::transport::verbs
