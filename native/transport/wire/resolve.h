#pragma once
#include <netdb.h>

#include <memory>
#include <string>

#include "transport/wire/socket.h"

namespace espalier::transport {

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

/// The addresses that `host`, a name or an address, stands for. Null, with the reason in `error`, when there is none, at
/// the deadline, or when `wakeFd` (unless -1) becomes readable. Throws std::system_error where there is no thread or pipe
/// to be had to wait for a name server.
AddressList resolve(const std::string& host, uint16_t port, int flags, Deadline deadline, int wakeFd, std::string& error);

}  // namespace espalier::transport
