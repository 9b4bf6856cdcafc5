#include "transport/shm/shm_link.h"

#include <atomic>
#include <cstring>
#include <new>

#include "transport/shm/futex.h"

namespace espalier::transport {
namespace {

/// Three is what a collective may have in flight before its peer must take something (reduceByBlocks); with four a
/// 16 KiB exchange stays within 64 KiB of cache per direction.
constexpr uint32_t kSlots = 4;
/// Twice a cache line: neighbouring lines are fetched in pairs on x86, and lines are this long on Apple silicon.
constexpr size_t kApart = 128;

/// `ready` and the header share a line, so that one transfer between cores tells a waiting receiver both.
struct alignas(kApart) Slot {
  std::atomic<uint32_t> ready;  ///< number of the message that it holds, counted from 1
  alignas(32) Header header;
  alignas(64) std::byte payload[kPieceBytes];
};

/// One direction. The sender owns `ready` and `closed`, the receiver `taken`; each side's own "I sleep" flag is
/// read by the other after every step, and written only around a sleep, so it stays in both caches.
struct Lane {
  alignas(kApart) std::atomic<uint32_t> taken;
  alignas(kApart) std::atomic<uint32_t> receiverSleeps;
  alignas(kApart) std::atomic<uint32_t> senderSleeps;
  alignas(kApart) std::atomic<uint32_t> closed;
  Slot slots[kSlots];
};

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

  LinkResult trySend(const Header& header, const void* payload) override {
    if (sent_ - takenSeen_ >= kSlots) {
      takenSeen_ = out_.taken.load(std::memory_order_acquire);
      if (sent_ - takenSeen_ >= kSlots) {
        return in_.closed.load(std::memory_order_acquire) != 0 ? LinkResult::Left : LinkResult::NotYet;
      }
    }
    Slot& slot = out_.slots[sent_ % kSlots];
    slot.header = header;
    if (header.pieceBytes > 0) std::memcpy(slot.payload, payload, header.pieceBytes);
    ++sent_;
    // Sequentially consistent, here and in park(): either the sleeper sees the message or we see the sleeper.
    slot.ready.store(sent_, std::memory_order_seq_cst);
    if (out_.receiverSleeps.load(std::memory_order_seq_cst) != 0) wakeSleepers(slot.ready);
    return LinkResult::Done;
  }

  LinkResult tryReceive(Message& message) override {
    Slot& slot = in_.slots[received_ % kSlots];
    if (slot.ready.load(std::memory_order_acquire) != received_ + 1) {
      if (in_.closed.load(std::memory_order_acquire) == 0) return LinkResult::NotYet;
      // Look again: the last message may have come between the two looks.
      if (slot.ready.load(std::memory_order_acquire) != received_ + 1) return LinkResult::Left;
    }
    message.header = slot.header;
    message.payload = slot.payload;
    return LinkResult::Done;
  }

  void release() override {
    ++received_;
    in_.taken.store(received_, std::memory_order_seq_cst);
    if (in_.senderSleeps.load(std::memory_order_seq_cst) != 0) wakeSleepers(in_.taken);
  }

  void leave() override {
    out_.closed.store(1);
    // The peer may sleep on either end of this link.
    wakeSleepers(out_.slots[sent_ % kSlots].ready);
    wakeSleepers(in_.taken);
  }

  void park(bool forReceive, int64_t timeoutUs) override {
    if (forReceive) {
      std::atomic<uint32_t>& ready = in_.slots[received_ % kSlots].ready;
      in_.receiverSleeps.store(1, std::memory_order_seq_cst);
      const uint32_t seen = ready.load(std::memory_order_seq_cst);
      if (seen != received_ + 1 && in_.closed.load() == 0) sleepWhile(ready, seen, timeoutUs);
      in_.receiverSleeps.store(0, std::memory_order_relaxed);
    } else {
      out_.senderSleeps.store(1, std::memory_order_seq_cst);
      const uint32_t seen = out_.taken.load(std::memory_order_seq_cst);
      if (sent_ - seen >= kSlots && in_.closed.load() == 0) sleepWhile(out_.taken, seen, timeoutUs);
      out_.senderSleeps.store(0, std::memory_order_relaxed);
    }
  }

 private:
  Segment segment_;
  Lane& out_;
  Lane& in_;
  uint32_t sent_ = 0, takenSeen_ = 0, received_ = 0;
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
