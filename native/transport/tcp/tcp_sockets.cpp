#include "transport/tcp/tcp_sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <string_view>

#include "transport/failure.h"
#include "transport/rendezvous/acceptor.h"

namespace espalier::transport {

void sendUnpaced([[maybe_unused]] const Socket& socket) {
#ifdef __linux__
  constexpr std::string_view kAlways = "reno";  // the one that every kernel has and lets everybody use
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_CONGESTION, kAlways.data(), kAlways.size());
#endif
}

Status listenForSockets(const SocketsWanted& wanted, const Conversation& first, Notices& notices,
                        std::vector<TcpSocket>& sockets) {
  Socket listener;
  uint16_t port = 0;
  Status status = listenOn(wanted.host, 0, listener, port, deadlineAfterMs(wanted.silenceMs));
  if (!status.ok()) return status;
  ByteWriter writer;
  writer.put(port);
  status = first.say(FrameType::LinkOffer, writer.bytes());
  if (!status.ok()) return status;
  const auto admit = [&](const Hello& hello) {
    const bool right = hello.purpose == Purpose::Data && hello.epoch == wanted.epoch && hello.size == wanted.size &&
                       hello.rank == wanted.peer && static_cast<int>(sockets.size()) < wanted.count;
    return right ? Status::success() : failure("RendezvousRefused", "this data port belongs to another link");
  };
  Acceptor acceptor(std::move(listener), wanted.secret, "data port", notices, admit, [&](Arrival arrival) {
    sockets.push_back({std::move(arrival.socket), arrival.reader.takeRest()});
  });
  while (static_cast<int>(sockets.size()) < wanted.count) {
    if (Clock::now() >= first.deadline) return first.failureOf(FrameResult::NotYet);
    // The wake-up descriptor turns readable once the group is dead.
    if (waitFor(first.wakeFd, POLLIN, Clock::now(), -1)) return first.failureOf(FrameResult::NotYet);
    acceptor.step(std::min(remainingMs(first.deadline), 500), first.wakeFd);
    if (!acceptor.shortage().ok()) return acceptor.shortage();
  }
  return Status::success();
}

Status dialSockets(const SocketsWanted& wanted, const Conversation& first, std::vector<TcpSocket>& sockets) {
  Frame offered;
  Status status = first.hear(FrameType::LinkOffer, offered);
  if (!status.ok()) return status;
  ByteReader fields(offered.payload);
  const auto port = fields.get<uint16_t>();
  if (!fields.ok()) return damaged();
  Hello hello;
  hello.purpose = Purpose::Data;
  hello.rank = wanted.rank;
  hello.size = wanted.size;
  hello.epoch = wanted.epoch;
  while (static_cast<int>(sockets.size()) < wanted.count) {
    Socket socket;
    const Deadline soon = std::min(first.deadline, deadlineAfterMs(wanted.silenceMs));
    status = dialOnce(wanted.host, port, soon, first.wakeFd, socket);
    if (!status.ok()) return status;
    boundSilence(socket, wanted.silenceMs);
    FrameReader own;
    status = introduce({socket.fd(), own, first.deadline, first.wakeFd}, wanted.secret, hello);
    if (!status.ok()) return status;
    boundSilence(socket, 0);
    sockets.push_back({std::move(socket), own.takeRest()});
  }
  return Status::success();
}

}  // namespace espalier::transport
