#pragma once
#include "mpi/communicator.h"

namespace espalier::mpi {

/// All that this process has of MPI: the world and what was split from it. Lives until the process ends, for stream
/// threads may still call while main() returns.
class Process {
 public:
  static Process& get();

  /// Forms the world from the environment (environment.h). False, with an explanation on stderr, when nothing was set: MLX
  /// then runs without a group. Throws std::runtime_error when what was set is wrong or the ranks do not meet.
  bool start();
  /// Makes the part of `parent` that has this color; null for kUndefinedColor.
  CommunicatorHandle* split(Communicator& parent, int color, int key);
  void free(CommunicatorHandle* handle) noexcept;
  /// To be called when a call has failed with the death of its group, which is everybody's: what is idle frees all that it
  /// holds, what is busy does when its call fails.
  void releaseDead() noexcept;
  /// Every communicator ends; later calls throw.
  void finish() noexcept;

 private:
  struct Known {
    Communicator* communicator;
    uint64_t number;       ///< counted from 1 as they are made
    uint64_t freedAt = 0;  ///< how many had been made by then
  };
  /// Whether no call can be queued on it any more: the thread that served all of its calls, a stream's, has meanwhile
  /// served one on a communicator that was made after this one was freed. Threads serve their calls in order.
  bool isServed(const Known& freed) const;

  std::mutex mutex_;
  pid_t pid_ = 0;
  bool explained_ = false;
  bool wantsStats_ = false;
  uint64_t made_ = 0;
  std::vector<Known> open_;   ///< the world first
  std::vector<Known> freed_;  ///< oldest first, not closed yet
};

/// Throws std::runtime_error when `handle` is not one of ours, or null, or the world before MPI_Init.
Communicator& communicatorOf(CommunicatorHandle* handle);

}  // namespace espalier::mpi
