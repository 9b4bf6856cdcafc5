#include "bench/perf/wire.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace espalier::perf {
namespace {

bool fill(sockaddr_un& address, const std::string& path) {
  if (path.size() >= sizeof address.sun_path) return false;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return true;
}

}  // namespace

bool writeAll(int socket, const void* data, size_t bytes) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t count = send(socket, from, bytes, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    from += count;
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

bool readAll(int socket, void* data, size_t bytes) {
  auto* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t count = recv(socket, to, bytes, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    to += count;
    bytes -= static_cast<size_t>(count);
  }
  return true;
}

int listenAt(const std::string& path) {
  sockaddr_un address{};
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (socket >= 0 && fill(address, path) && bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
      listen(socket, 64) == 0) {
    return socket;
  }
  if (socket >= 0) close(socket);
  return -1;
}

int connectTo(const std::string& path) {
  sockaddr_un address{};
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (socket >= 0 && fill(address, path) &&
      connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    return socket;
  }
  if (socket >= 0) close(socket);
  return -1;
}

}  // namespace espalier::perf
