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

/// Fills a frame's data up to what the wire takes, and says how much that is.
inline uint32_t pad(std::byte* data, uint32_t bytes) {
  const uint32_t padded = paddedFrame(bytes);
  if (padded > bytes) std::memset(data + bytes, 0, padded - bytes);
  return padded;
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
                    static_cast<int64_t>(sent_.count - peerFreed_);
  const auto slots = static_cast<int64_t>(pair_->sendSlots()) - static_cast<int64_t>(sent_.count - completed_);
  return static_cast<uint32_t>(std::max<int64_t>(0, std::min(room, slots)));
}

inline Tag VerbsLink::tagOf(uint32_t flags) const {
  return {static_cast<uint32_t>((numbers_.ownFirst + sent_.count) % Tag::kModulus), static_cast<uint32_t>(freed_ % Tag::kModulus),
          static_cast<uint8_t>(flags)};
}

/// Has a frame whose data is in its slot wait for post(), behind its tag.
inline void VerbsLink::stage(uint32_t index, QueuePair::Send frame, uint32_t flags, uint32_t dataBytes) {
  frame.immediate = tagOf(flags).pack();
  frame.bytes = dataBytes + headBytes_;
  if (headBytes_ != 0) {
    const FrameHead head{frame.immediate, dataBytes, numbers_.nonce};
    std::memcpy(pair_->sendSlot(frame.slot), &head, sizeof head);
  }
  pair_->stage(index, frame);
}

/// The same for the next frame of the count.
inline void VerbsLink::stageNext(uint32_t index, uint32_t flags, uint32_t dataBytes, bool wantsCompletion) {
  const bool signalled = wantsCompletion || unsignalled_ + 1 >= pair_->sendSlots() / 4;
  unsignalled_ = signalled ? 0 : unsignalled_ + 1;
  stage(index, {.id = sent_.count + 1, .slot = sent_.slot, .signalled = signalled}, flags, dataBytes);
  sent_.advance(pair_->sendSlots());
}

/// The next frame of the message.
inline void VerbsLink::stageData(uint32_t index, bool first, const Header& header, const std::byte* payload) {
  std::byte* data = pair_->sendSlot(sent_.slot) + headBytes_;
  const uint32_t bytes = std::min(streamBytes_ - streamAt_, kFrameBytes - headBytes_);
  const uint32_t headerBytes = headed_ ? sizeof(Header) : 0;
  uint32_t at = 0;
  if (streamAt_ < headerBytes) {
    std::memcpy(data, &header, sizeof(Header));
    at = headerBytes;
  }
  if (bytes > at) std::memcpy(data + at, payload + (streamAt_ + at - headerBytes), bytes - at);
  streamAt_ += bytes;
  const unsigned flags = headed_ ? Tag::First | unsigned{Tag::Headed} : unsigned{Tag::First};
  stageNext(index, first ? flags : 0u, pad(data, bytes), false);
}

inline bool VerbsLink::post() {
  toldFreed_ = freed_;
  const int failed = pair_->postSends();
  return failed == 0 || fail(LinkResult::Broken, pair_->explainPost(failed));
}

LinkResult VerbsLink::trySend(const Header& header, const void* payload) {
  if (state_ != LinkResult::Done) return state_;
  const auto* bytes = static_cast<const std::byte*>(payload);
  const bool isOneFrame = !sending_ && header.pieceBytes <= kFrameBytes - headBytes_ && predictor_.guess() == header;
  return isOneFrame && window() > 0 ? sendFrame(header, bytes) : sendStream(header, bytes);
}

/// A message that the peer expects, in one frame: the way of a decode step.
inline LinkResult VerbsLink::sendFrame(const Header& header, const std::byte* payload) {
  std::byte* data = pair_->sendSlot(sent_.slot) + headBytes_;
  if (header.pieceBytes > 0) std::memcpy(data, payload, header.pieceBytes);
  stageNext(0, Tag::First, pad(data, header.pieceBytes), false);
  if (!post()) return state_;
  // While the message is on its way:
  predictor_.confirm();
  predictor_.think();
  return LinkResult::Done;
}

LinkResult VerbsLink::sendStream(const Header& header, const std::byte* payload) {
  if (!sending_) {
    headed_ = predictor_.guess() != header;
    streamAt_ = 0;
    streamBytes_ = header.pieceBytes + (headed_ ? sizeof(Header) : 0);
    sending_ = true;
  }
  bool first = streamAt_ == 0;
  do {
    uint32_t room = window();
    if (room == 0) {
      poll();
      if (state_ != LinkResult::Done) return state_;
      room = window();
      if (room == 0) return goodbyeSeen_ ? LinkResult::Left : LinkResult::NotYet;
    }
    uint32_t frames = 0;
    do {
      stageData(frames++, first, header, payload);
      first = false;
    } while (streamAt_ < streamBytes_ && frames < std::min(room, QueuePair::kMostSends));
    if (!post()) return state_;
  } while (streamAt_ < streamBytes_);
  sending_ = false;
  if (headed_) {
    predictor_.learn(header);
  } else {
    predictor_.confirm();
  }
  predictor_.think();
  return LinkResult::Done;
}

void VerbsLink::sendControl(uint8_t flags) {
  // Credits leave the last frame to a goodbye.
  const bool goodbye = (flags & Tag::Goodbye) != 0;
  const uint64_t most = numbers_.peerReceives - kSpareReceives - (goodbye ? 0 : 1);
  if (sent_.count - peerFreed_ >= most || sent_.count - completed_ >= pair_->sendSlots()) return;
  const uint32_t bytes = paddedFrame(0);
  std::memset(pair_->sendSlot(sent_.slot) + headBytes_, 0, bytes);
  stageNext(0, flags | Tag::Control, bytes, goodbye);
  goodbyeSent_ = goodbyeSent_ || goodbye;
  post();
}

void VerbsLink::sendProbe() {
  const uint32_t bytes = kFrameBytes - headBytes_;  // a full frame: the MTU is on trial too
  stage(0, {.id = kUncountedId, .slot = pair_->sendSlots(), .signalled = true}, Tag::Probe | Tag::Control, bytes);
  post();
}

void VerbsLink::leave() {
  if (state_ != LinkResult::Done || sending_) return;
  poll();
  sendControl(Tag::Goodbye);
  // What is with the device still would be lost with the queue pair.
  const auto until = std::chrono::steady_clock::now() + kFarewell;
  while (goodbyeSent_ && completed_ < sent_.count && state_ == LinkResult::Done && std::chrono::steady_clock::now() < until) {
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
  if (event.id != arrived_.slot || arrived_.count - reposted_.count >= slots || event.bytes > kFrameBytes) {
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
    if (peerFreed_ + freed > sent_.count) return fail(LinkResult::Corrupted, "the peer has freed more than it was sent");
    peerFreed_ += freed;
  }
  arrivals_[arrived_.slot] = {tag, event.bytes - headBytes_};
  arrived_.advance(slots);
  return true;
}

void VerbsLink::repost() {
  const auto count = static_cast<uint32_t>(absorbed_.count - reposted_.count);
  if (count == 0 || state_ != LinkResult::Done) return;
  const uint32_t slots = pair_->receiveSlots();
  std::string why;
  if (!pair_->postReceives(reposted_.slot, count, why)) {
    fail(LinkResult::Broken, why);
    return;
  }
  for (; reposted_.count != absorbed_.count; reposted_.advance(slots)) {
    if ((arrivals_[reposted_.slot].tag.flags & Tag::Probe) == 0) ++freed_;
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
  for (; absorbed_.count != arrived_.count && state_ == LinkResult::Done; absorbed_.advance(slots)) {
    const Arrival& arrival = arrivals_[absorbed_.slot];
    if ((arrival.tag.flags & Tag::Control) != 0) {
      if ((arrival.tag.flags & Tag::Goodbye) != 0) goodbyeSeen_ = true;
      continue;
    }
    const std::byte* data = pair_->receiveSlot(absorbed_.slot) + headBytes_;
    const Inbox::Result result = inbox_.take({arrival.tag, data, arrival.bytes});
    if (result == Inbox::Result::Kept) pair_->keep(absorbed_.slot);
    if (result == Inbox::Result::Full) break;
    if (result == Inbox::Result::Wrong) fail(LinkResult::Corrupted, inbox_.why());
  }
  if (absorbed_.count - reposted_.count >= slots / kRepostShare) giveBack();
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
      return goodbyeSeen_ && absorbed_.count == arrived_.count ? LinkResult::Left : LinkResult::NotYet;
    }
  }
  message = inbox_.front();
  return LinkResult::Done;
}

void VerbsLink::release() {
  if (const std::byte* kept = inbox_.release()) pair_->giveBack(kept - headBytes_);
  if (absorbed_.count != arrived_.count) absorb();
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
