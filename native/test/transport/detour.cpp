#include "test/transport/detour.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "test/check.h"
#include "transport/wire/bytes.h"

namespace espalier::test {
namespace {

using transport::Bytes;
using transport::Frame;
using transport::FrameResult;
using transport::FrameType;
using transport::Socket;

/// Whatever the connections carry once the links stand.
FrameResult passRaw(const Socket& from, const Socket& to, bool silent) {
  uint8_t chunk[4096];
  const auto got = recv(from.fd(), chunk, sizeof chunk, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return FrameResult::NotYet;
  if (got <= 0) return FrameResult::Closed;
  if (!silent) transport::sendSome(to.fd(), chunk, static_cast<size_t>(got));
  return FrameResult::Frame;
}

}  // namespace

Detour::Detour(uint16_t onward, Harm harm) : harm_(harm) {
  openDoor(onward);
  thread_ = std::thread([this] { run(); });
}

Detour::~Detour() {
  stopping_ = true;
  thread_.join();
}

uint16_t Detour::openDoor(uint16_t onward) {
  Door& door = doors_.emplace_back();
  door.onward = onward;
  CHECK(transport::listenOn("127.0.0.1", 0, door.listener, door.port, transport::deadlineAfterMs(5'000)).ok());
  return door.port;
}

void Detour::run() {
  while (!stopping_) {
    std::vector<pollfd> fds;
    for (const Door& door : doors_) fds.push_back({door.listener.fd(), POLLIN, 0});
    for (const Pair& pair : pairs_) {
      for (const Socket& end : pair.ends) fds.push_back({pair.open ? end.fd() : -1, POLLIN, 0});
    }
    poll(fds.data(), fds.size(), 5);
    serve();
  }
  // Ranks that are through have closed what they dialled or accepted, but a busy system may bring their last words, and
  // the ends behind these, later.
  const auto late = transport::deadlineAfterMs(10'000);
  do {
    serve();
    poll(nullptr, 0, 1);
  } while (isAnyOpen() && transport::Clock::now() < late);
}

bool Detour::isAnyOpen() const {
  return std::any_of(pairs_.begin(), pairs_.end(), [](const Pair& pair) { return pair.open; });
}

void Detour::serve() {
  for (const Door& door : doors_) {
    transport::PeerAddress from;
    Socket dialer = transport::acceptOne(door.listener, from), dialled;
    if (!dialer.valid()) continue;
    const auto deadline = transport::deadlineAfterMs(10'000);
    if (!transport::dialOnce("127.0.0.1", door.onward, deadline, -1, dialled).ok()) continue;
    Pair& pair = pairs_.emplace_back();
    pair.ends[1] = std::move(dialer);
    pair.ends[0] = std::move(dialled);
  }
  for (Pair& pair : pairs_) {
    for (const bool toDialer : {false, true}) {
      while (pair.open && pass(pair, toDialer)) continue;
    }
  }
}

bool Detour::pass(Pair& pair, bool toDialer) {
  const Socket &from = pair.ends[!toDialer], &to = pair.ends[toDialer];
  const bool silent = harm_.kind == Harm::Kind::Silence && toDialer == harm_.toDialer && counts_[toDialer] > harm_.frame;
  const bool framed = pair.framed[toDialer];
  Frame frame;
  switch (framed ? pair.readers[toDialer].read(from.fd(), frame) : passRaw(from, to, silent)) {
    case FrameResult::NotYet: return false;
    case FrameResult::Closed:
      if (harm_.kind != Harm::Kind::Silence) cut(pair);
      pair.open = false;
      return false;
    case FrameResult::Garbage: {
      const Bytes rest = pair.readers[toDialer].takeRest();
      pair.framed[toDialer] = false;
      return silent || transport::sendSome(to.fd(), rest.data(), rest.size()) == static_cast<int64_t>(rest.size());
    }
    case FrameResult::Frame: break;
  }
  if (framed && !silent) forward(pair, toDialer, std::move(frame));
  return true;
}

void Detour::cut(Pair& pair) {
  pair.open = false;
  for (const Socket& end : pair.ends) shutdown(end.fd(), SHUT_RDWR);
}

void Detour::forward(Pair& pair, bool toDialer, Frame frame) {
  const Socket& to = pair.ends[toDialer];
  const bool harmed = counts_[toDialer]++ == harm_.frame && toDialer == harm_.toDialer;
  if (harmed && harm_.kind == Harm::Kind::Garbage) {
    const Bytes garbage(80, 0xa5);
    transport::sendSome(to.fd(), garbage.data(), garbage.size());
    return;
  }
  if (harmed && harm_.kind == Harm::Kind::Silence) return;
  if (harmed && harm_.kind == Harm::Kind::Cut) return cut(pair);
  if (toDialer && frame.type == FrameType::LinkOffer && frame.payload.size() == sizeof(uint16_t)) {
    transport::ByteWriter port;
    port.put(openDoor(transport::ByteReader(frame.payload).get<uint16_t>()));
    frame.payload = port.bytes();
  }
  transport::sendFrame(to.fd(), frame.type, frame.payload);
}

}  // namespace espalier::test
