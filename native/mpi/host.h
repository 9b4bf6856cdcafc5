#pragma once
#include <cstdint>
#include <string>

#include "status.h"
#include "transport/wire/socket.h"

namespace espalier::mpi {

/// Names this boot of this machine: equal for all its processes, different elsewhere.
std::string hostIdOfThisMachine();

/// The address that this machine uses towards `host`; empty when there is no route, or, with the reason in `trouble`, when
/// that name leads nowhere by `deadline`. Sends `host` nothing.
std::string ownAddressTowards(const std::string& host, uint16_t port, transport::Deadline deadline, std::string& trouble);

/// 256 random bits as hexadecimal digits; empty when the system has none to give.
std::string randomSecret();

/// Reads a file of at most 4 KiB that belongs to this user and that nobody else may read. Fails with InvalidArgument;
/// `missing` says whether that is because there is none (yet).
Status readPrivateFile(const std::string& path, std::string& content, bool& missing);

}  // namespace espalier::mpi
