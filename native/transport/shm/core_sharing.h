#pragma once
#include <chrono>

#include "transport/shm/team_segment.h"

namespace espalier::transport {

/// Moves a rank's thread away from a core that another rank of the team works on, when there is a free one. The system
/// leaves two such threads together: each waits for the other, spins, gives way and sleeps, so neither looks busy, and
/// an all-reduce of a microsecond takes 60 to 130 (two ranks on two cores, through MLX, in that state; pinned: 3).
/// The thread's affinity is as before afterwards. Linux only: macOS has no affinity to threads' cores, and
/// spreads its threads by itself.
class CoreSharing {
 public:
  CoreSharing(const TeamSegment& segment, int members, int self) : segment_(segment), members_(members), self_(self) {}

  /// For ranks that share cores: tells the others which core this thread is on, and moves it to another when there
  /// are more ranks on this one than it takes. The system balances only now and then: three and one of four ranks on two
  /// cores take half as long again as two and two.
  void spreadOut(std::chrono::steady_clock::time_point now);
  /// Whether `member` was last seen on the core that this thread was when it last told.
  bool sharesCore(int member) const;
  /// Called when a look at `member` was in vain for a while. Costs some nanoseconds unless there is something to do.
  void separateFrom(int member, std::chrono::steady_clock::time_point now);

 private:
  uint32_t noteCore();
  void moveAway(uint32_t cpu);

  const TeamSegment& segment_;
  [[maybe_unused]] const int members_;  ///< like possible_, unused where no thread can be moved
  const int self_;
  [[maybe_unused]] bool possible_ = true;
  std::chrono::steady_clock::time_point lastMove_{};
};

/// The same for two ranks of one host over TCP: `fd` is their connection, whose last segment was handled on the core of
/// who sent it. Does nothing when its ends are not on one host, or it was done a moment before `now`.
class TcpCoreSharing {
 public:
  void separate(int fd, std::chrono::steady_clock::time_point now);

 private:
  std::chrono::steady_clock::time_point lastMove_{};
};

}  // namespace espalier::transport
