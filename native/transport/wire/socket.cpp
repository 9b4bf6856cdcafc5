#include "transport/wire/socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "transport/failure.h"
#include "transport/wire/resolve.h"

namespace espalier::transport {
namespace {

/// For a host that is up, to answer.
constexpr int kConnectMs = 2'000;

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
constexpr int kSendFlags = MSG_DONTWAIT;
#endif

#ifndef __linux__  // where they are born so
void makePrivateAndNonBlocking(int fd) {
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}
#endif

void tune(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
#ifdef SO_NOSIGPIPE
  setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &one, sizeof one);
#endif
}

uint16_t portOf(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
}

/// A dialer whose own port, given by the system, is the port that it dials meets itself when nobody listens there (RFC
/// 9293 §3.5: simultaneous open). Both ends of a connection cannot be one address otherwise.
bool isOwnEnd(int fd) {
  sockaddr_storage own{}, peer{};
  socklen_t ownLength = sizeof own, peerLength = sizeof peer;
  return getsockname(fd, reinterpret_cast<sockaddr*>(&own), &ownLength) == 0 &&
         getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peerLength) == 0 && ownLength == peerLength &&
         std::memcmp(&own, &peer, ownLength) == 0;
}

/// Frees the port at once, without TIME_WAIT: whom the dialer looks for may be about to listen on it.
void abandon(Socket& socket) {
  const linger atOnce{1, 0};
  setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &atOnce, sizeof atOnce);
  socket.close();
}

/// 0 or an errno.
int connectTo(const Socket& socket, const addrinfo& address, Deadline deadline, int wakeFd) {
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!waitFor(socket.fd(), POLLOUT, deadline, wakeFd)) return ETIMEDOUT;
  int code = 0;
  socklen_t length = sizeof code;
  return getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &code, &length) == 0 ? code : errno;
}

}  // namespace

Socket newSocket(int family, int type) {
#ifdef __linux__
  return Socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
#else
  Socket socket(::socket(family, type, 0));
  if (socket.valid()) makePrivateAndNonBlocking(socket.fd());
  return socket;
#endif
}

int remainingMs(Deadline deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000'000));
}

Socket::Socket(int fd) : fd_(fd) {
  if (fd < 0 || fd > STDERR_FILENO) return;
  fd_ = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.fd_;
    other.fd_ = -1;
  }
  return *this;
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Status listenOn(const std::string& host, uint16_t port, Socket& listener, uint16_t& boundPort, Deadline deadline) {
  const std::string where = host + ":" + std::to_string(port);
  std::string error;
  const AddressList addresses = resolve(host, port, AI_PASSIVE, deadline, -1, error);
  if (!addresses) return failure("InvalidArgument", "cannot listen on " + where + ": " + error);
  int code = 0;
  // A name may stand for an address that this host does not have, such as ::1 where IPv6 is off.
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Socket socket = newSocket(address->ai_family, SOCK_STREAM);
    const int one = 1;
    if (socket.valid()) setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (socket.valid() && bind(socket.fd(), address->ai_addr, address->ai_addrlen) == 0 &&
        listen(socket.fd(), 128) == 0) {
      boundPort = portOf(socket.fd());
      listener = std::move(socket);
      return Status::success();
    }
    code = errno;
    if (isShortage(code)) return outOfDescriptors("cannot listen on " + where, code);
    if (code == EADDRINUSE) {
      return failure("AddressInUse", where + " is in use by another process; choose another port or 0 for any");
    }
  }
  return failure("InvalidArgument", "cannot listen on " + where + ": " + errnoText(code));
}

Status dialOnce(const std::string& host, uint16_t port, Deadline deadline, int wakeFd, Socket& socket) {
  const std::string where = host + ":" + std::to_string(port);
  std::string error;
  const AddressList addresses = resolve(host, port, 0, deadline, wakeFd, error);
  if (!addresses) return failure("Unreachable", where + ": " + error);
  const Deadline connectBy = std::min(deadline, deadlineAfterMs(kConnectMs));
  int code = 0, left = 0;
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) ++left;
  // A name may stand for several addresses, and the listener is on one of them: one that swallows what it is sent must
  // not use up the time of the others.
  for (const addrinfo* address = addresses.get(); address != nullptr; address = address->ai_next) {
    Socket fresh = newSocket(address->ai_family, SOCK_STREAM);
    if (!fresh.valid() && isShortage(errno)) return outOfDescriptors("cannot connect to " + where, errno);
    const Deadline share = left > 1 ? deadlineAfterMs(remainingMs(connectBy) / left) : connectBy;
    --left;
    code = fresh.valid() ? connectTo(fresh, *address, share, wakeFd) : errno;
    if (code == 0 && isOwnEnd(fresh.fd())) {
      abandon(fresh);
      code = ECONNREFUSED;
    }
    if (code != 0) continue;
    tune(fresh.fd());
    socket = std::move(fresh);
    return Status::success();
  }
  return failure("Unreachable", where + ": " + errnoText(code));
}

Socket acceptOne(const Socket& listener, PeerAddress& from) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* dialer = reinterpret_cast<sockaddr*>(&address);
#ifdef __linux__
  Socket socket(accept4(listener.fd(), dialer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK));
#else
  Socket socket(accept(listener.fd(), dialer, &length));
  if (socket.valid()) makePrivateAndNonBlocking(socket.fd());
#endif
  if (!socket.valid()) return socket;
  tune(socket.fd());
  char host[NI_MAXHOST] = "?";
  getnameinfo(dialer, length, host, sizeof host, nullptr, 0, NI_NUMERICHOST);
  from.host = host;
  from.port = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                                  : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  return socket;
}

bool waitFor(int fd, short events, Deadline deadline, int wakeFd) {
  for (;;) {
    pollfd fds[2] = {{fd, events, 0}, {wakeFd, POLLIN, 0}};
    const int left = remainingMs(deadline);
    const int ready = poll(fds, wakeFd >= 0 ? 2 : 1, left);
    if (wakeFd >= 0 && ready > 0 && fds[1].revents != 0) return false;
    if (ready > 0 && fds[0].revents != 0) return true;
    if (left == 0) return false;
    if (ready < 0 && errno != EINTR) return false;
  }
}

int64_t sendSome(int fd, const void* data, size_t bytes) { return ::send(fd, data, bytes, kSendFlags); }

WakePipe::WakePipe() {
  int fds[2];
#ifdef __linux__
  const int made = pipe2(fds, O_CLOEXEC | O_NONBLOCK);
#else
  const int made = pipe(fds);
#endif
  if (made != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  read_ = Socket(fds[0]);
  write_ = Socket(fds[1]);
  if (!read_.valid() || !write_.valid()) throw std::system_error(errno, std::generic_category(), "pipe");
#ifndef __linux__
  makePrivateAndNonBlocking(read_.fd());
  makePrivateAndNonBlocking(write_.fd());
#endif
}

void WakePipe::raise() {
  const char byte = 1;
  // A full pipe is readable already, which is all that matters.
  if (::write(write_.fd(), &byte, 1) < 0) return;
}

bool isShortage(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS; }

Status outOfDescriptors(const std::string& what, int error) {
  return failure("OutOfDescriptors",
                 what + ": " + errnoText(error) + "; this process needs more descriptors (ulimit -n), or fewer open files");
}

void boundSilence(const Socket& socket, int timeoutMs) {
#if defined(TCP_USER_TIMEOUT)
  const auto value = static_cast<unsigned>(timeoutMs);
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof value);
#elif defined(TCP_RXT_CONNDROPTIME)
  const int seconds = (timeoutMs + 999) / 1'000;
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_RXT_CONNDROPTIME, &seconds, sizeof seconds);
#endif
}

std::string errnoText(int error) { return std::generic_category().message(error); }

}  // namespace espalier::transport
