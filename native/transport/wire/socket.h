#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "status.h"

namespace espalier::transport {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline Deadline deadlineAfterMs(int64_t ms) { return Clock::now() + std::chrono::milliseconds(ms); }
/// Whole milliseconds until `deadline`, rounded up, at least 0.
int remainingMs(Deadline deadline);

/// Owns a file descriptor, above those of stdin, stdout and stderr: where one of them is closed, its number is the next
/// that the system gives, and what the program prints would go there.
class Socket {
 public:
  Socket() = default;
  /// Takes `fd`, or one in its place (close-on-exec); invalid, with an errno, if there is none to be had.
  explicit Socket(int fd);
  Socket(Socket&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }
  int fd() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

/// Every socket here is non-blocking and close-on-exec; those of TCP are TCP_NODELAY and raise no SIGPIPE.

/// One of `family` and `type`, as ::socket takes them; invalid when there is none to be had (errno).
Socket newSocket(int family, int type);
/// Listens on host:port (0: any free port). Fails with AddressInUse, OutOfDescriptors or InvalidArgument; that, too, if
/// what name `host` is has not become known by `deadline`.
Status listenOn(const std::string& host, uint16_t port, Socket& listener, uint16_t& boundPort, Deadline deadline);
/// One attempt to connect, for two seconds at most once it is known which address `host` is. Fails with a message that
/// holds the reason; `code` is "Unreachable", or OutOfDescriptors.
Status dialOnce(const std::string& host, uint16_t port, Deadline deadline, int wakeFd, Socket& socket);
/// Takes one waiting connection; invalid when there is none or it cannot be taken (errno). `from` becomes the dialer's numeric address and port.
struct PeerAddress {
  std::string host;
  uint16_t port = 0;
};
Socket acceptOne(const Socket& listener, PeerAddress& from);

/// Waits for `events` on `fd`. False at the deadline or when `wakeFd` (unless -1) became readable.
bool waitFor(int fd, short events, Deadline deadline, int wakeFd);

/// send() that never raises SIGPIPE and never blocks.
int64_t sendSome(int fd, const void* data, size_t bytes);

/// A pipe whose reading end turns readable, for good, at the first raise().
class WakePipe {
 public:
  WakePipe();
  int fd() const { return read_.fd(); }
  void raise();

 private:
  Socket read_, write_;
};

std::string errnoText(int error);

/// Whether `error` says that this process or host may open no more sockets and files; then the failure that says so.
bool isShortage(int error);
Status outOfDescriptors(const std::string& what, int error);

/// Ends the connection when the peer's system has not acknowledged what was sent for so long (0: the system's own
/// patience). For set-up, where nobody lets data pile up: Linux counts a window that a busy peer keeps shut, too.
void boundSilence(const Socket& socket, int timeoutMs);

}  // namespace espalier::transport
