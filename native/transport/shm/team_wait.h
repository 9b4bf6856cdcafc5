#pragma once
#include <chrono>
#include <memory>
#include <vector>

#include "transport/liveness/liveness.h"
#include "transport/shm/core_sharing.h"

namespace espalier::transport {

/// A member's place in a host team.
struct TeamSeat {
  std::vector<int> members;      ///< the group's ranks that are in the team, ascending
  std::vector<int> familyRanks;  ///< the same as Liveness counts them
  int index = 0;                 ///< this rank's place in `members`
  int operationTimeoutMs = 0;
  /// More ranks on this host than cores: spinning would only keep the others from running.
  bool crowded = false;
};

/// What passed between this rank and a member. Written by the one thread that uses the team, read by any.
struct TeamCounters {
  std::atomic<uint64_t> bytesSent{0}, bytesReceived{0}, stallNs{0};
};
/// One writer: plain load and store are enough, and cheaper than a locked addition.
inline void raiseCounter(std::atomic<uint64_t>& counter, uint64_t by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

/// Which word of a member tells that it got somewhere.
enum class TeamWord : uint8_t { Call, Progress };

/// How a member of a host team waits for others, and how it finds out that it waits in vain. All waits end: when the
/// group dies, when a member has left that something is expected from, or when the operation has lasted too long.
class TeamWait {
 public:
  TeamWait(const TeamSegment& segment, const TeamSeat& seat, Liveness& liveness,
           std::vector<TeamCounters>& counters);

  /// Until `member` has reached `target`. False: the group is dead.
  [[nodiscard]] bool await(int member, TeamWord kind, uint32_t target);
  [[nodiscard]] bool awaitAll(TeamWord kind, uint32_t target);
  /// Tells who waits for it that `word`, one of this member's own, is now `value`.
  void publish(std::atomic<uint32_t>& word, uint32_t value);
  void leave();

 private:
  using Time = std::chrono::steady_clock::time_point;
  std::atomic<uint32_t>& wordOf(int member, TeamWord kind, uint32_t target) const;
  bool awaitLong(int member, TeamWord kind, uint32_t target);
  /// Whether somebody who has not reached `target` was last seen on this rank's core.
  bool coreIsWanted(TeamWord kind, uint32_t target) const;
  void giveWay(Time now);
  void park(int member, TeamWord kind, uint32_t target, Time began, Time now);
  void giveUpIfLate(int member, TeamWord kind, uint32_t target, Time began, Time now);

  const TeamSegment& segment_;
  const TeamSeat& seat_;
  Liveness& liveness_;
  std::vector<TeamCounters>& counters_;
  CoreSharing coreSharing_;
  int dearWaits_ = 0;  ///< waits that sleep instead of giving way: somebody else takes the core for too long
  int penalty_ = 8;    ///< how many they were the last time
  int cheapYields_ = 0;
};

}  // namespace espalier::transport
