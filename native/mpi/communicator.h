#pragma once
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "mpi/abi.h"

namespace espalier::mpi {

/// One MPI communicator over a Group. Never deleted, only closed: MLX may free its handle while a call that uses it
/// waits in a stream's queue.
///
/// Calls from several threads are served one after another. The ranks must then agree on the order, as with any
/// MPI: two streams that work at the same time need a communicator each (Group.split).
class Communicator {
 public:
  explicit Communicator(std::unique_ptr<transport::Group> group);

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Runs `body` on the group; throws std::runtime_error with the text of a failed Status. MLX (0.32.1 and later) catches
  /// it on the stream's thread and raises it from mx.eval; it ignores return codes.
  template <class Body>
  void call(const char* function, Body body) {
    const std::unique_lock lock = enter(function);
    const Status status = body(*group_);
    if (!status.ok()) [[unlikely]] fail(function, status);
  }

  /// Messages of a rank to itself, in order.
  void sendToSelf(std::span<const std::byte> data);
  void receiveFromSelf(std::span<std::byte> data);

  /// Ends the group. A call under way gets `patienceMs` to complete, then is ended, on every rank.
  void close(int patienceMs);

 private:
  /// Waits for its turn; throws when the group is gone.
  std::unique_lock<std::timed_mutex> enter(const char* function);
  [[noreturn]] void fail(const char* function, const Status& status) const;

  std::unique_ptr<transport::Group> group_;
  const int rank_;
  const int size_;
  std::timed_mutex mutex_;  ///< held during a call
  std::atomic<bool> closing_{false};
  std::atomic<bool> warned_{false};
  std::mutex selfMutex_;
  std::vector<std::vector<std::byte>> toSelf_;
};

/// One line to stderr in one piece, so that lines of several ranks do not mix.
void say(const std::string& text);

}  // namespace espalier::mpi
