#include "transport/shm/team_segment.h"

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>

#include "transport/failure.h"

namespace espalier::transport {
namespace {

constexpr size_t kPageBytes = 16 * 1024;  // the largest among the systems that we run on
constexpr size_t kMaxArenaBytes = size_t{1} << 30;
/// Of all arenas together: ranks that are threads of one process map each other's segments once each.
constexpr size_t kMaxSharedBytes = size_t{16} << 30;

constexpr size_t wholePages(size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

constexpr size_t kHeadBytes = kPageBytes;  // the nonce
constexpr size_t kWordsBytes = wholePages(sizeof(MemberWords));

size_t memberBytes(int members, size_t arenaBytes) { return kWordsBytes + ringBytes(members) + arenaBytes; }
size_t segmentBytes(int members, size_t arenaBytes) {
  return kHeadBytes + static_cast<size_t>(members) * memberBytes(members, arenaBytes);
}

/// As much address space as there may be. A file beyond the process's own limit would kill it with SIGXFSZ.
size_t affordableArenaBytes(int members) {
  size_t arenaBytes = std::min(kMaxArenaBytes, kMaxSharedBytes / static_cast<size_t>(members));
  for (const auto resource : {RLIMIT_FSIZE, RLIMIT_AS}) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) continue;
    // Half of it: the program has other uses for its address space.
    while (arenaBytes > 0 && segmentBytes(members, arenaBytes) > limit.rlim_cur / 2) arenaBytes /= 2;
    if (arenaBytes < kPageBytes) arenaBytes = 0;
  }
  return arenaBytes / kPageBytes * kPageBytes;
}

}  // namespace

Status TeamSegment::create(int members, const Digest& nonce, TeamSegment& team) {
  const size_t arenaBytes = affordableArenaBytes(members);
  const Status status = Segment::create(segmentBytes(members, arenaBytes), team.segment_);
  if (!status.ok()) return status;
  team.members_ = members;
  team.arenaBytes_ = arenaBytes;
  // Fresh segments are zero, which is the right start for every word.
  *static_cast<Digest*>(team.segment_.data()) = nonce;
  return status;
}

Status TeamSegment::open(const std::string& name, int members, size_t arenaBytes, const Digest& nonce,
                         TeamSegment& team) {
  if (arenaBytes > kMaxArenaBytes) return failure("LinkUnavailable", "shared memory: absurd size", -1, "shm");
  const Status status = Segment::open(name, segmentBytes(members, arenaBytes), team.segment_);
  if (!status.ok()) return status;
  team.members_ = members;
  team.arenaBytes_ = arenaBytes;
  if (sameDigest(*static_cast<const Digest*>(team.segment_.data()), nonce)) return status;
  return failure("LinkUnavailable", "shared memory: the hosts have equal ids but are not one", -1, "shm");
}

void TeamSegment::takeRings() const {
#if defined(MADV_POPULATE_WRITE)
  // A system that cannot hands them over when they are touched.
  for (int member = 0; member < members_; ++member) madvise(ring(member), ringBytes(members_), MADV_POPULATE_WRITE);
#endif
}

std::byte* TeamSegment::at(int member) const {
  return static_cast<std::byte*>(segment_.data()) + kHeadBytes + 
         static_cast<size_t>(member) * memberBytes(members_, arenaBytes_);
}

std::byte* TeamSegment::ring(int member) const { return at(member) + kWordsBytes; }

std::byte* TeamSegment::arena(int member) const { return ring(member) + ringBytes(members_); }

}  // namespace espalier::transport
