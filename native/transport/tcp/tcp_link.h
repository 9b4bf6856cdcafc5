#pragma once
#include <memory>

#include "transport/link.h"
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

/// A link over one connected TCP socket. It says goodbye in-band, so that the peer can tell an orderly end from a
/// death. `early` are bytes of the link that were read from the socket already.
std::unique_ptr<Link> makeTcpLink(Socket socket, const Bytes& early);

}  // namespace espalier::transport
