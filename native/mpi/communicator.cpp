#include "mpi/communicator.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "mpi/process.h"

namespace espalier::mpi {
namespace {

std::atomic<bool> isForkedChild{false};

}  // namespace

void say(const std::string& text) {
  const std::string line = "espalier: " + text + "\n";
  // Nobody is left to tell if this fails.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
}

Communicator::Communicator(std::shared_ptr<transport::Group> group, std::shared_ptr<transport::Group> parent)
    : group_(std::move(group)), parent_(std::move(parent)), rank_(group_->rank()), size_(group_->size()) {}

Call::Call(const char* function, size_t bytes, const void* type, const void* operation, int peer)
    : function(function), signature(0) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  const auto mix = [&](uint64_t fact) { signature = (signature ^ fact) * kOdd; signature ^= signature >> 32; };
  for (const void* pointer : {static_cast<const void*>(function), type, operation}) mix(reinterpret_cast<uintptr_t>(pointer));
  mix(bytes);
  mix(static_cast<uint64_t>(peer));
}

void refuseCallsAfterFork() {
  pthread_atfork(nullptr, nullptr, [] { isForkedChild = true; });
}

std::unique_lock<std::timed_mutex> Communicator::enter(const Call& call) {
  // Its locks may be held by threads that it does not have, and its sockets and memory are its parent's.
  if (isForkedChild.load(std::memory_order_relaxed)) [[unlikely]] {
    fail(call.function, Status::failure("InvalidArgument", "this process was forked off a rank and has no part in its "
                                                           "group; let multiprocessing spawn it, as no rank"));
  }
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) [[unlikely]] lock = queueUp(call);
  current_.store(call.signature, std::memory_order_relaxed);
  if (closing_.load(std::memory_order_relaxed) || !group_) [[unlikely]] {
    if (!ended_.ok()) fail(call.function, ended_);
    fail(call.function,
         Status::failure("GroupAborted", "the group was freed, or the program finished, before this call"));
  }
  noteCaller();
  return lock;
}

std::unique_lock<std::timed_mutex> Communicator::queueUp(const Call& call) {
  std::unique_lock queueLock(queueMutex_);
  const std::string wrong = collision(call);
  if (!wrong.empty()) {
    if (group_) group_->abort(wrong);
    fail(call.function, Status::failure("InvalidArgument", wrong));
  }
  if (!std::exchange(warned_, true)) {
    say("rank " + std::to_string(rank_) + ": " + call.function + " waits for another thread that uses the same group. "
        "The calls are served one after another, and every rank must have them in the same order; give each stream "
        "a group of its own (Group.split) if the program does not see to that.");
  }
  queue_.push_back(call.signature);
  queueLock.unlock();
  std::unique_lock lock(mutex_);
  current_.store(call.signature, std::memory_order_relaxed);
  queueLock.lock();
  queue_.erase(std::find(queue_.begin(), queue_.end(), call.signature));
  return lock;
}

std::string Communicator::collision(const Call& call) {
  if (closing_.load(std::memory_order_relaxed)) return "";
  const bool waits = std::find(queue_.begin(), queue_.end(), call.signature) != queue_.end();
  if (!waits && current_.load(std::memory_order_relaxed) != call.signature) return "";
  return "two threads of rank " + std::to_string(rank_) + " are in " + call.function +
         " with the same type and size on the same group at a time: ranks that have them in another order would swap "
         "their data unnoticed. Give each thread or stream a group of its own (Group.split), or have one wait for the "
         "other (mx.eval)";
}

void Communicator::noteCaller() {
  const pthread_t self = pthread_self();
  if (!called_.load(std::memory_order_relaxed)) {
    caller_ = self;
    called_.store(true, std::memory_order_release);
  } else if (!pthread_equal(caller_, self)) {
    severalCallers_.store(true, std::memory_order_relaxed);
  }
}

bool Communicator::onlyCaller(pthread_t& thread) const {
  if (!called_.load(std::memory_order_acquire) || severalCallers_.load(std::memory_order_relaxed)) return false;
  thread = caller_;
  return true;
}

void Communicator::fail(const char* function, const Status& status) const {
  std::string text = "[espalier] " + status.code + ": " + status.message;
  if (status.rank >= 0) text += " (rank " + std::to_string(status.rank);
  if (status.rank >= 0 && !status.link.empty()) text += ", link " + status.link;
  if (status.rank >= 0) text += ")";
  text += std::string("; in ") + function + " on rank " + std::to_string(rank_) + " of " + std::to_string(size_);
  throw std::runtime_error(text);
}

void Communicator::giveUp(const char* function, const Status& status, std::unique_lock<std::timed_mutex> lock) {
  // What cannot be right is refused, and leaves the group alive.
  if (status.code == "InvalidArgument") fail(function, status);
  release(status);
  lock.unlock();
  Process::get().releaseDead();
  fail(function, status);
}

void Communicator::release(const Status& status) {
  const std::lock_guard queueLock(queueMutex_);
  ended_ = status;
  last_ = group_->stats();
  group_.reset();
  parent_.reset();
}

void Communicator::releaseDead() {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  // A dead group says what it died of, whatever it is asked.
  if (lock.owns_lock() && group_) release(group_->barrier());
}

transport::GroupStats Communicator::stats() {
  const std::lock_guard queueLock(queueMutex_);
  return group_ ? group_->stats() : last_;
}

void Communicator::sendToSelf(std::span<const std::byte> data) {
  const std::lock_guard lock(selfMutex_);
  toSelf_.emplace_back(data.begin(), data.end());
}

void Communicator::receiveFromSelf(std::span<std::byte> data) {
  const std::lock_guard lock(selfMutex_);
  if (toSelf_.empty()) {
    fail("MPI_Recv", Status::failure("InvalidArgument", "this rank waits for a message from itself that it has not "
                                                        "sent; send first"));
  }
  const std::vector<std::byte>& message = toSelf_.front();
  if (message.size() != data.size()) {
    fail("MPI_Recv", Status::failure("InvalidArgument", "the next message from this rank to itself has " +
                                                            std::to_string(message.size()) + " bytes, expected " +
                                                            std::to_string(data.size())));
  }
  if (!data.empty()) std::memcpy(data.data(), message.data(), data.size());
  toSelf_.erase(toSelf_.begin());
}

void Communicator::close(int patienceMs) {
  std::unique_lock lock(mutex_, std::chrono::milliseconds(patienceMs));
  closing_ = true;
  if (!lock.owns_lock()) {
    {
      const std::lock_guard queueLock(queueMutex_);
      if (group_) group_->abort("rank " + std::to_string(rank_) + " finished its program in the midst of a call");
    }
    lock.lock();
  }
  const std::lock_guard queueLock(queueMutex_);
  group_.reset();
  parent_.reset();
}

}  // namespace espalier::mpi
