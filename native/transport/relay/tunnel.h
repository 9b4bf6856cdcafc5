#pragma once
#include <poll.h>

#include <array>
#include <vector>

#include "transport/wire/socket.h"

namespace espalier::transport {

/// Carries bytes both ways between two sockets: what one end sends, and that it has closed, reaches the other.
/// Takes no more from an end than the other takes off its hands, so a slow reader slows its writer down.
class Tunnel {
 public:
  Tunnel(Socket first, Socket second);
  Tunnel(Tunnel&&) = default;
  Tunnel& operator=(Tunnel&&) = default;

  /// Appends what to wait for before the next serve().
  void watch(std::vector<pollfd>& fds) const;
  /// Moves what can be moved without waiting. Whether there was anything.
  bool serve();
  /// Both ends have closed and heard all, or the tunnel broke.
  bool ended() const { return broken_ >= 0 || (ways_[0].closed && ways_[1].closed); }
  /// One end has closed in order and the other has been given everything: nothing is owed to anybody.
  bool owesNothing() const { return broken_ >= 0 || ways_[0].closed || ways_[1].closed; }
  /// 0 or 1: the end whose connection broke; -1: none did.
  int brokenEnd() const { return broken_; }

 private:
  struct Way {
    std::vector<char> buffer;
    size_t begin = 0, end = 0;
    bool drained = false;     ///< the source has closed
    bool closed = false;      ///< and the destination knows
    bool discarding = false;  ///< the destination is gone; its peer may still have something to say
  };
  bool move(int source);
  bool fill(int source);
  bool flush(int source);

  std::array<Socket, 2> sockets_;
  std::array<Way, 2> ways_;  ///< by source
  int broken_ = -1;
};

}  // namespace espalier::transport
