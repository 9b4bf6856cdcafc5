#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "transport/wire/frame.h"

/// What the fuzz targets share. Each target is a libFuzzer program of its own; a broken promise ends it like a crash.
namespace espalier::fuzz {

using transport::ByteView;

inline void require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", promise);
  std::abort();
}

/// Two connected sockets; what the code under test answers into them is thrown away.
class SocketPair {
 public:
  SocketPair() {
    int fds[2];
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0, "socketpair");
    near = transport::Socket(fds[0]);
    far = transport::Socket(fds[1]);
  }
  void drain() {
    char unread[4096];
    while (recv(far.fd(), unread, sizeof unread, MSG_DONTWAIT) > 0) continue;
  }
  transport::Socket near, far;
};

/// Cuts the fuzzer's input into frames: a byte of type, two of length, payload. Valid checksums are ours to add, so
/// that the fuzzer gets behind them.
class Script {
 public:
  explicit Script(ByteView input) : input_(input) {}
  bool next(transport::Frame& frame) {
    if (input_.size() < 3) return false;
    frame.type = static_cast<transport::FrameType>(input_[0]);
    const size_t length = std::min<size_t>(input_[1] | size_t{input_[2]} << 8, input_.size() - 3);
    frame.payload.assign(input_.begin() + 3, input_.begin() + 3 + static_cast<ptrdiff_t>(length));
    input_ = input_.subspan(3 + length);
    return true;
  }

 private:
  ByteView input_;
};

}  // namespace espalier::fuzz
