#include "mpi/process.h"

#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "mpi/environment.h"
#include "mpi/meeting.h"
#include "mpi/report.h"

namespace espalier::mpi {
namespace {

/// How many freed communicators stay open, at most, because calls on them may be queued yet: more than MLX queues before it
/// waits (110 dispatches, two for a call). Over TCP each has a socket for each peer.
constexpr size_t kLingering = 64;
/// How long a call under way at the end of the program may take: its peers may be late, but must not be waited for
/// without end.
constexpr int kFinishPatienceMs = 5'000;

[[noreturn]] void refuse(const Status& status) {
  throw std::runtime_error("[espalier] " + status.code + ": " + status.message);
}

void passOn(const char* text, void* context) {
  say("rank " + std::to_string(*static_cast<const int*>(context)) + ": " + text);
}

}  // namespace

Process& Process::get() {
  static auto* const process = new Process;
  return *process;
}

bool Process::start() {
  const std::lock_guard lock(mutex_);
  if (!open_.empty()) throw std::runtime_error("[espalier] InvalidArgument: MPI_Init was called twice");
  Environment environment;
  Status status = readEnvironment(environment);
  if (!status.ok()) refuse(status);
  if (!environment.configured) {
    if (!explained_) say(environmentHelp());
    explained_ = true;
    return false;
  }
  environment.group.onNotice = &passOn;
  environment.group.onNoticeContext = new int(environment.group.rank);  // used by threads that outlive this call
  auto group = environment.meetingFile.empty() ? transport::Group::create(environment.group, status)
                                               : meetThroughFile(environment.meetingFile, environment.group, status);
  if (!group) refuse(status);
  refuseCallsAfterFork();
  pid_ = getpid();
  wantsStats_ = environment.wantsStats;
  open_.push_back({new Communicator(std::move(group)), ++made_});
  ompi_mpi_comm_world.communicator = open_.front().communicator;
  return true;
}

CommunicatorHandle* Process::split(Communicator& parent, int color, int key) {
  if (color < 0 && color != kUndefinedColor) {
    throw std::runtime_error("[espalier] InvalidArgument: the color of a split is " + std::to_string(color) +
                             ", must be 0 or more");
  }
  std::shared_ptr<transport::Group> group, whole;
  // Who wants no part gets one of its own, so that it still answers the others: a color that nobody else has.
  const int groupColor = color == kUndefinedColor ? -1 - parent.rank() : color;
  parent.call(Call("MPI_Comm_split"), [&](const std::shared_ptr<transport::Group>& of) {
    Status status;
    whole = of;
    group = of->split(groupColor, key, status);
    return status;
  });
  if (color == kUndefinedColor) {
    group.reset();  // before what it was split from
    return nullptr;
  }
  auto* child = new Communicator(std::move(group), std::move(whole));
  const std::lock_guard lock(mutex_);
  open_.push_back({child, ++made_});
  auto* handle = new CommunicatorHandle;
  handle->communicator = child;
  return handle;
}

void Process::free(CommunicatorHandle* handle) noexcept {
  const std::lock_guard lock(mutex_);
  const Communicator* const wanted = handle->communicator;
  const auto found = std::find_if(open_.begin(), open_.end(), [&](const Known& one) { return one.communicator == wanted; });
  if (found == open_.begin() || found == open_.end() || getpid() != pid_) return;
  found->freedAt = made_;
  freed_.push_back(*found);
  open_.erase(found);
  for (auto one = freed_.begin(); one != freed_.end();) {
    if (!isServed(*one) && freed_.size() <= kLingering) {
      ++one;
      continue;
    }
    one->communicator->close(kFinishPatienceMs);
    one = freed_.erase(one);
  }
}

bool Process::isServed(const Known& freed) const {
  pthread_t thread{};
  if (!freed.communicator->onlyCaller(thread)) return false;
  const auto isLaterOfThread = [&](const Known& other) {
    pthread_t caller{};
    return other.number > freed.freedAt && other.communicator->onlyCaller(caller) && pthread_equal(caller, thread);
  };
  return std::any_of(open_.begin(), open_.end(), isLaterOfThread) ||
         std::any_of(freed_.begin(), freed_.end(), isLaterOfThread);
}

void Process::releaseDead() noexcept {
  // Whoever has it ends communicators, too.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  for (auto known = open_.rbegin(); known != open_.rend(); ++known) known->communicator->releaseDead();
  for (const Known& known : freed_) known.communicator->releaseDead();
}

void Process::finish() noexcept {
  const std::lock_guard lock(mutex_);
  // A forked child that runs our exit handler must not say goodbye in its parent's name.
  if (open_.empty() || getpid() != pid_) return;
  if (wantsStats_) reportStats(*open_.front().communicator);
  freed_.insert(freed_.end(), open_.rbegin(), open_.rend());  // the world last: it must outlive its parts
  for (const Known& known : freed_) known.communicator->close(kFinishPatienceMs);
  freed_.clear();
  open_.clear();
}

Communicator& communicatorOf(CommunicatorHandle* handle) {
  if (handle == nullptr || handle->kind != HandleKind::Communicator) {
    throw std::runtime_error("[espalier] InvalidArgument: not a communicator of this library; is a second MPI loaded, "
                             "or is this the part of a split that this rank asked not to be in?");
  }
  Communicator* communicator = handle->communicator;
  // A program that was linked with this library has a copy of the world's handle, made before MPI_Init (R_X86_64_COPY).
  if (communicator == nullptr) communicator = ompi_mpi_comm_world.communicator;
  if (communicator == nullptr) {
    throw std::runtime_error("[espalier] InvalidArgument: MPI_Init was not called, or found no group");
  }
  return *communicator;
}

}  // namespace espalier::mpi
