#include "mpi/communicator.h"

#include <unistd.h>

#include <chrono>
#include <cstring>
#include <stdexcept>

namespace espalier::mpi {

void say(const std::string& text) {
  const std::string line = "espalier: " + text + "\n";
  // Nobody is left to tell if this fails.
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
}

Communicator::Communicator(std::unique_ptr<transport::Group> group)
    : group_(std::move(group)), rank_(group_->rank()), size_(group_->size()) {}

std::unique_lock<std::timed_mutex> Communicator::enter(const char* function) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) {
    if (!warned_.exchange(true)) {
      say("rank " + std::to_string(rank_) + ": " + function + " waits for another thread that uses the same group. "
          "The calls are served one after another, and every rank must have them in the same order; give each stream "
          "a group of its own (Group.split) if the program does not see to that.");
    }
    lock.lock();
  }
  if (closing_.load(std::memory_order_relaxed) || !group_) {
    fail(function, Status::failure("GroupAborted", "the group was freed, or the program finished, before this call"));
  }
  return lock;
}

void Communicator::fail(const char* function, const Status& status) const {
  std::string text = "[espalier] " + status.code + ": " + status.message;
  if (status.rank >= 0) text += " (rank " + std::to_string(status.rank);
  if (status.rank >= 0 && !status.link.empty()) text += ", link " + status.link;
  if (status.rank >= 0) text += ")";
  text += std::string("; in ") + function + " on rank " + std::to_string(rank_) + " of " + std::to_string(size_);
  throw std::runtime_error(text);
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
    group_->abort("rank " + std::to_string(rank_) + " finished its program in the midst of a call");
    lock.lock();
  }
  group_.reset();
}

}  // namespace espalier::mpi
