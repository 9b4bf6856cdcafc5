#include "mpi/meeting.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "mpi/communicator.h"
#include "mpi/host.h"
#include "transport/wire/socket.h"

namespace espalier::mpi {
namespace {

using transport::Clock;
using transport::Deadline;
using transport::Group;
using transport::GroupOptions;
using transport::Socket;

constexpr auto kLook = std::chrono::milliseconds(20);
constexpr size_t kDraftDigits = 16;
constexpr int kYieldMs = 1'000;

/// Whether a living rank 0 announces itself there. To be asked before the file is read: it may be replaced at any time, by
/// another living one.
bool isHeld(const std::string& path) {
  const Socket file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return file.valid() && flock(file.fd(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/// Rank 0's announcement. Made before the group is formed, so that a folder that cannot be written to is known at once. Its
/// lock ends with the process: a process number may be another's by the time somebody reads it, or mean nothing there (containers).
class Announcement {
 public:
  Announcement(std::string path, std::string secret)
      : path_(std::move(path)),
        draft_(path_ + "." + randomSecret().substr(0, kDraftDigits)),
        secret_(std::move(secret)),
        file_(open(draft_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600)),
        error_(file_.valid() && flock(file_.fd(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno) {}
  ~Announcement() {
    if (file_.valid()) unlink((published_ ? path_ : draft_).c_str());
  }
  Announcement(const Announcement&) = delete;
  Announcement& operator=(const Announcement&) = delete;

  int error() const { return error_; }

  /// Throws if the others will not find it, which ends the rendezvous.
  void publish(uint16_t port) {
    const std::string text = std::to_string(port) + " " + secret_ + "\n";
    // One that was killed just now may still be on its way out. Of two that come at the same moment one may replace the other.
    for (const Deadline deadline = transport::deadlineAfterMs(kYieldMs); isHeld(path_); std::this_thread::sleep_for(kLook)) {
      if (Clock::now() >= deadline) fail(EADDRINUSE);
    }
    errno = ENOSPC;  // what is written in part leaves it as it is
    const auto written = write(file_.fd(), text.data(), text.size());
    published_ = written == static_cast<ssize_t>(text.size()) && rename(draft_.c_str(), path_.c_str()) == 0;
    if (!published_) fail(errno);
  }

 private:
  [[noreturn]] void fail(int error) {
    error_ = error;
    throw std::runtime_error("nobody will find this rank");
  }

  const std::string path_, draft_, secret_;
  const Socket file_;
  int error_;  ///< an errno, or 0
  bool published_ = false;
};

std::unique_ptr<Group> announce(const std::string& path, GroupOptions options, Status& status) {
  options.secret = randomSecret();
  Announcement announcement(path, options.secret);
  options.rendezvousPort = 0;
  options.onListening = [](uint16_t port, void* context) { static_cast<Announcement*>(context)->publish(port); };
  options.onListeningContext = &announcement;
  auto group = announcement.error() == 0 ? Group::create(options, status) : nullptr;
  if (announcement.error() == 0) return group;
  if (announcement.error() == EADDRINUSE) {
    status = Status::failure("AddressInUse", "another rank 0 waits for its group at " + path +
                                                 "; end it, or give this group another ESPALIER_RENDEZVOUS");
    return nullptr;
  }
  status = Status::failure("InvalidArgument", "rank 0 cannot write " + path + ": " +
                                                  transport::errnoText(announcement.error()) +
                                                  "; the other ranks look for it there");
  return nullptr;
}

bool take(const std::string& text, GroupOptions& options) {
  std::istringstream in(text);
  return static_cast<bool>(in >> options.rendezvousPort >> options.secret);
}

/// What a living rank 0 announces in the file at `path`, once it does.
bool await(const std::string& path, Deadline deadline, GroupOptions& options, Status& status) {
  const int timeoutMs = options.rendezvousTimeoutMs;
  std::string text;
  for (;;) {
    const bool held = isHeld(path);
    bool missing = false;
    status = readPrivateFile(path, text, missing);
    if (!status.ok() && !missing) return false;
    if (status.ok() && held && take(text, options)) return true;
    if (Clock::now() >= deadline) {
      status = Status::failure("RendezvousTimeout", "rank 0 did not write " + path + " within " +
                                                        std::to_string(timeoutMs) +
                                                        " ms; see whether it runs, on this host and as this user");
      status.rank = 0;
      return false;
    }
    std::this_thread::sleep_for(kLook);
  }
}

/// The rank 0 that was found may die while the group forms, and another one announce itself: each has a port and a secret
/// of its own.
std::unique_ptr<Group> follow(const std::string& path, const GroupOptions& options, Status& status) {
  struct Found {
    const std::string& path;
    GroupOptions options;
    bool outdated = false;

    bool isCurrent() {
      std::string text;
      bool missing = false;
      GroupOptions now;
      outdated = !isHeld(path) || !readPrivateFile(path, text, missing).ok() || !take(text, now) ||
                 now.secret != options.secret;
      return !outdated;
    }
  };
  const Deadline deadline = transport::deadlineAfterMs(options.rendezvousTimeoutMs);
  for (;;) {
    Found found{path, options};
    if (!await(path, deadline, found.options, status)) return nullptr;
    found.options.rendezvousTimeoutMs = std::max(1'000, transport::remainingMs(deadline));
    found.options.mayDialAgain = [](void* context) { return static_cast<Found*>(context)->isCurrent(); };
    found.options.mayDialAgainContext = &found;
    auto group = Group::create(found.options, status);
    if (group || !found.outdated || Clock::now() >= deadline) return group;
  }
}

}  // namespace

std::unique_ptr<Group> meetThroughFile(const std::string& path, GroupOptions options, Status& status) {
  options.rendezvousHost = "127.0.0.1";
  options.dataHost = "127.0.0.1";
  if (options.size == 1) return Group::create(options, status);
  return options.rank == 0 ? announce(path, std::move(options), status) : follow(path, options, status);
}

}  // namespace espalier::mpi
