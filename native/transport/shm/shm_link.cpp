#include "transport/shm/shm_link.h"

#include <atomic>
#include <new>

#include "transport/shm/futex.h"
#include "transport/shm/staging_copy.h"

namespace espalier::transport {
namespace {

/// How many messages may be on their way. Three is what a collective may have in flight before its peer must take
/// something (reduceByBlocks).
constexpr uint32_t kMessages = 16;
/// Payloads go through it round and round: as in a host team, what comes back to a line shall find it forgotten by the
/// cores' own caches. Both directions together are as long as the largest of those.
constexpr size_t kShmRingBytes = size_t{1} << 20;
/// A long transfer goes in pieces of this size: one is read while the next is written.
constexpr size_t kShmStepBytes = 16 * 1024;
/// Twice a cache line: neighbouring lines are fetched in pairs on x86, and lines are this long on Apple silicon.
constexpr size_t kApart = 128;
static_assert(3 * kPieceBytes <= kShmRingBytes);

/// `ready` and the header share a line, so that one transfer between cores tells a waiting receiver both.
struct alignas(kApart) Slot {
  std::atomic<uint32_t> ready;  ///< number of the message that it holds, counted from 1
  alignas(32) Header header;
};

/// One direction. The sender owns `ready` and `closed`, the receiver `taken`; each side's own "I sleep" flag is
/// read by the other after every step, and written only around a sleep, so it stays in both caches.
struct Lane {
  alignas(kApart) std::atomic<uint32_t> taken;
  alignas(kApart) std::atomic<uint32_t> receiverSleeps;
  alignas(kApart) std::atomic<uint32_t> senderSleeps;
  alignas(kApart) std::atomic<uint32_t> closed;
  Slot slots[kMessages];
  alignas(kApart) std::byte ring[kShmRingBytes];
};

/// Where the next payload of `bytes` begins, counted from the first byte ever sent: never across the ring's end. Both
/// ends know it from the headers.
constexpr uint64_t placeOf(uint64_t from, size_t bytes) {
  return from % kShmRingBytes + bytes <= kShmRingBytes ? from : (from / kShmRingBytes + 1) * kShmRingBytes;
}
constexpr uint64_t endOf(uint64_t place, size_t bytes) { return place + (bytes + kApart - 1) / kApart * kApart; }

struct Pair {
  alignas(kApart) Digest nonce;
  Lane lanes[2];
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

class ShmLink final : public Link {
 public:
  ShmLink(Segment segment, int side)
      : segment_(std::move(segment)),
        out_(static_cast<Pair*>(segment_.data())->lanes[side]),
        in_(static_cast<Pair*>(segment_.data())->lanes[1 - side]) {}

  LinkKind kind() const override { return LinkKind::SharedMemory; }

  size_t stepBytes() const override { return kShmStepBytes; }

  LinkResult trySend(const Header& header, const void* payload) override {
    const size_t bytes = header.pieceBytes;
    const uint64_t place = placeOf(sentTo_, bytes);
    if (!hasRoom(place + bytes)) {
      takenSeen_ = out_.taken.load(std::memory_order_acquire);
      if (!hasRoom(place + bytes)) {
        return in_.closed.load(std::memory_order_acquire) != 0 ? LinkResult::Left : LinkResult::NotYet;
      }
    }
    Slot& slot = out_.slots[sent_ % kMessages];
    slot.header = header;
    staging_.copy(out_.ring + place % kShmRingBytes, payload, bytes);
    places_[sent_ % kMessages] = place;
    sentTo_ = endOf(place, bytes);
    ++sent_;
    // Sequentially consistent, here and in park(): either the sleeper sees the message or we see the sleeper.
    slot.ready.store(sent_, std::memory_order_seq_cst);
    if (out_.receiverSleeps.load(std::memory_order_seq_cst) != 0) wakeSleepers(slot.ready);
    return LinkResult::Done;
  }

  LinkResult tryReceive(Message& message) override {
    Slot& slot = in_.slots[received_ % kMessages];
    if (slot.ready.load(std::memory_order_acquire) != received_ + 1) {
      if (in_.closed.load(std::memory_order_acquire) == 0) return LinkResult::NotYet;
      // Look again: the last message may have come between the two looks.
      if (slot.ready.load(std::memory_order_acquire) != received_ + 1) return LinkResult::Left;
    }
    message.header = slot.header;
    place_ = placeOf(receivedTo_, message.header.pieceBytes);
    message.payload = in_.ring + place_ % kShmRingBytes;
    return LinkResult::Done;
  }

  void release() override {
    receivedTo_ = endOf(place_, in_.slots[received_ % kMessages].header.pieceBytes);
    ++received_;
    in_.taken.store(received_, std::memory_order_seq_cst);
    if (in_.senderSleeps.load(std::memory_order_seq_cst) != 0) wakeSleepers(in_.taken);
  }

  void leave() override {
    out_.closed.store(1);
    // The peer may sleep on either end of this link.
    wakeSleepers(out_.slots[sent_ % kMessages].ready);
    wakeSleepers(in_.taken);
  }

  void park(bool forReceive, int64_t timeoutUs) override {
    if (forReceive) {
      std::atomic<uint32_t>& ready = in_.slots[received_ % kMessages].ready;
      in_.receiverSleeps.store(1, std::memory_order_seq_cst);
      const uint32_t seen = ready.load(std::memory_order_seq_cst);
      if (seen != received_ + 1 && in_.closed.load() == 0) sleepWhile(ready, seen, timeoutUs);
      in_.receiverSleeps.store(0, std::memory_order_relaxed);
    } else {
      out_.senderSleeps.store(1, std::memory_order_seq_cst);
      const uint32_t seen = out_.taken.load(std::memory_order_seq_cst);
      if (seen == takenSeen_ && in_.closed.load() == 0) sleepWhile(out_.taken, seen, timeoutUs);
      out_.senderSleeps.store(0, std::memory_order_relaxed);
    }
  }

 private:
  /// For a message up to `end`.
  bool hasRoom(uint64_t end) const {
    const uint32_t underway = sent_ - takenSeen_;
    return underway == 0 || (underway < kMessages && end - places_[takenSeen_ % kMessages] <= kShmRingBytes);
  }

  Segment segment_;
  Lane& out_;
  Lane& in_;
  uint32_t sent_ = 0, takenSeen_ = 0, received_ = 0;
  uint64_t sentTo_ = 0, receivedTo_ = 0;
  uint64_t place_ = 0;              ///< of the message that is held
  uint64_t places_[kMessages] = {};  ///< of those that were sent
  StagingCopy staging_;
};

}  // namespace

size_t shmSegmentBytes() { return sizeof(Pair); }

void prepareShmSegment(Segment& segment, const Digest& nonce) {
  // Fresh segments are zero, which is the right start for every counter.
  static_cast<Pair*>(segment.data())->nonce = nonce;
}

bool isShmSegment(const Segment& segment, const Digest& nonce) {
  return sameDigest(static_cast<const Pair*>(segment.data())->nonce, nonce);
}

std::unique_ptr<Link> makeShmLink(Segment segment, int side) {
  return std::make_unique<ShmLink>(std::move(segment), side);
}

}  // namespace espalier::transport
