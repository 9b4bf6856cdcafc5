#pragma once
#include <memory>
#include <vector>

#include "transport/link.h"
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

/// One connected socket of a TCP link. `early` are bytes of the link that were read from it already.
struct TcpSocket {
  Socket socket;
  Bytes early;
};

/// How many sockets a TCP link between two hosts, or within one, has. Both ends count alike.
int tcpSocketCount(bool sameHost);

/// A link over connected TCP sockets, in the same order at both ends. Every message begins on the first; a long
/// payload is cut into equal parts, one for each socket, so the receiver knows from the header what comes where.
/// It says goodbye in-band, so that the peer can tell an orderly end from a death.
std::unique_ptr<Link> makeTcpLink(std::vector<TcpSocket> sockets);

}  // namespace espalier::transport
