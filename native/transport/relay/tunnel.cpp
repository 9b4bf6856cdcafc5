#include "transport/relay/tunnel.h"

#include <sys/socket.h>

#include <cerrno>

namespace espalier::transport {
namespace {

/// More than one usual message: an end can be read while the other takes the rest of the last one.
constexpr size_t kTunnelBytes = 96 * 1024;
/// Turns before another tunnel gets its own.
constexpr int kMostTurns = 8;

bool mustWait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Tunnel::Tunnel(Socket first, Socket second) : sockets_{std::move(first), std::move(second)} {
  for (Way& way : ways_) way.buffer.resize(kTunnelBytes);
}

void Tunnel::watch(std::vector<pollfd>& fds) const {
  for (int side = 0; side < 2 && broken_ < 0; ++side) {
    const Way& out = ways_[side];
    const Way& in = ways_[1 - side];
    short events = 0;
    if (!out.drained && out.end < kTunnelBytes) events |= POLLIN;
    if (in.begin < in.end || (in.drained && !in.closed)) events |= POLLOUT;
    // A socket that has hung up is always ready: one that nothing is wanted of must not be looked at.
    fds.push_back({events != 0 ? sockets_[side].fd() : -1, events, 0});
  }
}

bool Tunnel::serve() {
  for (int turn = 0; turn < kMostTurns && !ended(); ++turn) {
    const bool forth = move(0), back = move(1);
    if (!forth && !back) return turn > 0;
  }
  return true;
}

/// False when there was nothing to do.
bool Tunnel::move(int source) {
  if (ways_[source].closed) return false;
  const bool filled = fill(source);
  return flush(source) || filled;
}

bool Tunnel::fill(int source) {
  Way& way = ways_[source];
  if (way.drained || way.end == kTunnelBytes) return false;
  const ssize_t got = recv(sockets_[source].fd(), way.buffer.data() + way.end, kTunnelBytes - way.end, MSG_DONTWAIT);
  if (got < 0 && mustWait(errno)) return false;
  if (got > 0) {
    way.end += static_cast<size_t>(got);
  } else {
    way.drained = true;
    // An end that went away after the other had left in order has broken nothing.
    if (got < 0 && !ways_[1 - source].drained) {
      broken_ = source;
      for (Socket& socket : sockets_) socket.close();
    }
  }
  return true;
}

bool Tunnel::flush(int source) {
  if (broken_ >= 0) return false;
  Way& way = ways_[source];
  const int destination = sockets_[1 - source].fd();
  bool moved = false;
  while (way.begin < way.end) {
    const auto sent = way.discarding ? static_cast<int64_t>(way.end - way.begin)
                                     : sendSome(destination, way.buffer.data() + way.begin, way.end - way.begin);
    if (sent < 0) {
      if (mustWait(errno)) return moved;
      way.discarding = true;
      continue;
    }
    way.begin += static_cast<size_t>(sent);
    moved = true;
  }
  way.begin = way.end = 0;
  if (way.drained) {
    shutdown(destination, SHUT_WR);
    way.closed = true;
  }
  return moved;
}

}  // namespace espalier::transport
