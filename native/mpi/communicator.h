#pragma once
#include <pthread.h>

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "mpi/abi.h"

namespace espalier::mpi {

/// A call as it is told from others. Ranks that make calls with one signature in another order get each other's data.
struct Call {
  const char* function;
  uint64_t signature;

  explicit Call(const char* function, size_t bytes = 0, const void* type = nullptr, const void* operation = nullptr,
                int peer = -1);
};

/// One MPI communicator over a Group. Never deleted, only closed: MLX may free its handle while a call that uses it
/// waits in a stream's queue.
///
/// Calls from several threads are served one after another. The ranks must then agree on the order, as with any
/// MPI: two streams that work at the same time need a communicator each (Group.split). Where calls that differ in nothing
/// meet, ranks with another order would swap their data unnoticed: that is refused, and the group ends.
class Communicator {
 public:
  /// `parent`: what `group` was split from and must not outlive.
  explicit Communicator(std::shared_ptr<transport::Group> group, std::shared_ptr<transport::Group> parent = nullptr);

  int rank() const { return rank_; }
  int size() const { return size_; }

  /// Runs `body` on the group; throws std::runtime_error with the text of a failed Status. MLX (0.32.1 and later) catches
  /// it on the stream's thread and raises it from mx.eval; it ignores return codes.
  template <class Body>
  void call(const Call& call, Body body) {
    std::unique_lock lock = enter(call);
    const Status status = body(group_);
    current_.store(0, std::memory_order_relaxed);
    if (!status.ok()) [[unlikely]] giveUp(call.function, status, std::move(lock));
  }
  /// Frees what a group that has died holds, unless a call is under way, which then does. Only for members of a family
  /// that is known to be dead.
  void releaseDead();
  /// Of the group as it is, or was when it ended.
  transport::GroupStats stats();
  /// The one thread that made all calls so far. False when there were none, or several.
  bool onlyCaller(pthread_t& thread) const;

  /// Messages of a rank to itself, in order.
  void sendToSelf(std::span<const std::byte> data);
  void receiveFromSelf(std::span<std::byte> data);

  /// Ends the group. A call under way gets `patienceMs` to complete, then is ended, on every rank.
  void close(int patienceMs);

 private:
  /// Waits for its turn; throws when the group is gone.
  std::unique_lock<std::timed_mutex> enter(const Call& call);
  std::unique_lock<std::timed_mutex> queueUp(const Call& call);
  /// What two calls of this signature, under way at a time, end the group with. Empty: there are no two.
  std::string collision(const Call& call);
  void noteCaller();
  [[noreturn]] void fail(const char* function, const Status& status) const;
  /// After a call that failed: frees the group if it is dead, and what is idle of its family.
  [[noreturn]] void giveUp(const char* function, const Status& status, std::unique_lock<std::timed_mutex> lock);
  /// Frees the group, which died of `status`. With the lock on mutex_.
  void release(const Status& status);

  std::shared_ptr<transport::Group> group_;   ///< null once it has ended; set with both mutexes held
  std::shared_ptr<transport::Group> parent_;  ///< goes with group_, after it
  Status ended_;                              ///< what it died of
  transport::GroupStats last_;
  const int rank_;
  const int size_;
  std::timed_mutex mutex_;  ///< held during a call
  std::atomic<bool> closing_{false};
  std::atomic<bool> called_{false}, severalCallers_{false};
  pthread_t caller_{};  ///< of the first call; written before called_
  std::atomic<uint64_t> current_{0};  ///< signature of the call that has its turn, or 0
  std::mutex queueMutex_;             ///< for what follows, and for who ends the group while a call is under way
  std::vector<uint64_t> queue_;       ///< signatures of calls that wait
  bool warned_ = false;
  std::mutex selfMutex_;
  std::vector<std::vector<std::byte>> toSelf_;
};

/// To be called once, before any communicator is made: calls in forked children are refused from then on.
void refuseCallsAfterFork();

/// One line to stderr in one piece, so that lines of several ranks do not mix.
void say(const std::string& text);

}  // namespace espalier::mpi
