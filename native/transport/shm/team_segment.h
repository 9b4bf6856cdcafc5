#pragma once
#include <atomic>
#include <cstdint>

#include "transport/auth/sha256.h"
#include "transport/link.h"
#include "transport/shm/segment.h"

namespace espalier::transport {

/// Twice a cache line: neighbouring lines are fetched in pairs on x86, and lines are this long on Apple silicon.
inline constexpr size_t kTeamApart = 128;
/// Largest contribution of one member that is put into shared memory whole. Also what the root of a broadcast may
/// leave behind without waiting for anybody.
inline constexpr size_t kWholeBytes = 64 * 1024;
/// Longer ones travel in chunks of this many bytes over three buffers: with those of the results they take 768 KiB,
/// which stays in a second-level cache of 1 MiB.
inline constexpr size_t kChunkBytes = 128 * 1024;
inline constexpr uint32_t kChunkBuffers = 3;

/// Where a buffer of a call lies: bytes from the start of its owner's arena, or staged (anywhere else).
using ArenaOffset = uint64_t;
inline constexpr ArenaOffset kStaged = ~ArenaOffset{0};

/// What a member says when it enters a call. `call` and what the others need to start lie in one cache line, so that
/// one transfer between cores tells all. There are two, for odd and even calls: a member may be one call ahead.
struct alignas(kTeamApart) Announcement {
  std::atomic<uint32_t> call;  ///< number of the call, counted from 1; written last
  ArenaOffset in, out;
  Header header;
};
static_assert(sizeof(Header) + 3 * sizeof(uint64_t) <= 64);

/// One member's words. All but `sleepers` are written by their owner alone.
struct MemberWords {
  Announcement announcements[2];
  alignas(kTeamApart) std::atomic<uint32_t> progress;  ///< steps that this member has finished, never reset
  alignas(kTeamApart) std::atomic<uint32_t> sleepers;  ///< how many others sleep on a word of this member
  alignas(kTeamApart) std::atomic<uint32_t> left;      ///< 1: went away in order
  std::atomic<uint32_t> cpu;  ///< 1 + the core that its thread was last seen on (CoreSharing), 0 before that
};
static_assert(std::atomic<uint32_t>::is_always_lock_free);

/// The memory that the members of a host team share: each has words, staging buffers, and an arena for buffers that
/// the transport hands out. Pages are taken from the system when they are first touched.
class TeamSegment {
 public:
  static Status create(int members, const Digest& nonce, TeamSegment& team);
  /// Opens what another member created as `name`, and checks by `nonce` that it is that.
  static Status open(const std::string& name, int members, size_t arenaBytes, const Digest& nonce, TeamSegment& team);
  const std::string& name() const { return segment_.name(); }
  /// Everybody has it: drop the way in.
  void seal() { segment_.seal(); }

  MemberWords& words(int member) const { return *reinterpret_cast<MemberWords*>(at(member)); }
  /// Contribution to a call that is staged whole; `call` is its number.
  std::byte* whole(int member, uint32_t call) const;
  /// Staged chunk of a contribution, and of a result.
  std::byte* chunk(int member, uint32_t index) const;
  std::byte* result(int member, uint32_t index) const;
  std::byte* arena(int member) const;
  size_t arenaBytes() const { return arenaBytes_; }

 private:
  std::byte* at(int member) const;

  Segment segment_;
  size_t arenaBytes_ = 0;
};

}  // namespace espalier::transport
