#pragma once
#include <cstdint>
#include <string>

#include "status.h"

namespace espalier::mpi {

/// Names this boot of this machine: equal for all its processes, different elsewhere.
std::string hostIdOfThisMachine();

/// The address that this machine uses towards `host`; empty when there is no route. Sends nothing.
std::string ownAddressTowards(const std::string& host, uint16_t port);

/// 256 random bits as hexadecimal digits; empty when the system has none to give.
std::string randomSecret();

/// Reads a file of at most 4 KiB that belongs to this user and that nobody else may read. Fails with InvalidArgument;
/// `missing` says whether that is because there is none (yet).
Status readPrivateFile(const std::string& path, std::string& content, bool& missing);

}  // namespace espalier::mpi
