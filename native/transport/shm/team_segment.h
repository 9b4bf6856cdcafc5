#pragma once
#include <atomic>
#include <cstdint>

#include "transport/auth/sha256.h"
#include "transport/link.h"
#include "transport/shm/segment.h"

namespace espalier::transport {

/// Twice a cache line: neighbouring lines are fetched in pairs on x86, and lines are this long on Apple silicon.
inline constexpr size_t kTeamApart = 128;
/// Staging memory of one member, used round and round. What is written there was read by others long ago, so that it
/// has left the cores' own caches (1 MiB each here): to write a line that another core's second-level cache holds takes
/// three times as long. Measured with two ranks, 16 KiB: 3.0 µs with two fixed buffers, 1.1 with a ring of 2 MiB, 1.5
/// with 8 MiB.
constexpr size_t ringBytes(int members) { return members <= 2 ? size_t{2} << 20 : size_t{1} << 20; }
/// Largest contribution of one member that is put into the ring whole. Also what the root of a broadcast may leave
/// behind without waiting for anybody. A quarter: a call must not overwrite what the one before it left.
constexpr size_t wholeBytes(int members) { return ringBytes(members) / 4; }
/// Longer ones travel in chunks of this many bytes; the pipeline needs six of them.
constexpr size_t chunkBytes(int members) { return ringBytes(members) / 8; }

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

/// The memory that the members of a host team share: each has words, a staging ring, and an arena for buffers that
/// the transport hands out. Pages are taken from the system when they are first touched.
class TeamSegment {
 public:
  static Status create(int members, const Digest& nonce, TeamSegment& team);
  /// Opens what another member created as `name`, and checks by `nonce` that it is that.
  static Status open(const std::string& name, int members, size_t arenaBytes, const Digest& nonce, TeamSegment& team);
  const std::string& name() const { return segment_.name(); }
  /// Has the system hand over all members' rings at once (Linux). Page by page it does so in the midst of the first calls:
  /// 1,400 all-reduces of 1 KiB took 5.5 µs each through MLX, all later ones 3.3.
  void takeRings() const;
  /// Everybody has it: drop the way in.
  void seal() { segment_.seal(); }

  MemberWords& words(int member) const { return *reinterpret_cast<MemberWords*>(at(member)); }
  std::byte* ring(int member) const;
  std::byte* arena(int member) const;
  size_t arenaBytes() const { return arenaBytes_; }

 private:
  std::byte* at(int member) const;

  Segment segment_;
  int members_ = 0;
  size_t arenaBytes_ = 0;
};

}  // namespace espalier::transport
