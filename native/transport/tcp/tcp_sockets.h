#pragma once
#include <string>
#include <vector>

#include "status.h"
#include "transport/notices.h"
#include "transport/tcp/tcp_link.h"
#include "transport/wire/conversation.h"

namespace espalier::transport {

/// For a connection within a host, which has nothing to probe for: takes the place of BBR or whatever else the system chose.
/// BBR paces what it sends by a timer. 1 MiB over loopback then takes 173 µs one way and 278 both ways; 90 and 129
/// without it. Linux; between hosts the system's choice stays.
void sendUnpaced(const Socket& socket);

/// What the two ends of a link need to know to give it more sockets.
struct SocketsWanted {
  int count = 1;  ///< of all sockets, the first one included; equal at both ends
  int rank = 0, peer = 0, size = 0;
  uint64_t epoch = 0;
  std::string secret;
  std::string host;  ///< the listening end's address: where it listens, and where the other dials
  int silenceMs = 0;  ///< how long the other end's system may take to answer
};

/// Adds to `sockets`, which has the authenticated first one, until there are `wanted.count`. The listening end says over
/// the first where the others shall come; each passes the same handshake again. Both ends get them in the same order.
/// Fail like listenOn, dialOnce, introduce and the conversation.
Status listenForSockets(const SocketsWanted& wanted, const Conversation& first, Notices& notices,
                        std::vector<TcpSocket>& sockets);
Status dialSockets(const SocketsWanted& wanted, const Conversation& first, std::vector<TcpSocket>& sockets);

}  // namespace espalier::transport
