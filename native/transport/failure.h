#pragma once
#include <string>
#include <utility>

#include "status.h"

namespace espalier::transport {

/// A Status with the facts that a transport failure carries.
inline Status failure(const char* code, std::string message, int rank = -1, std::string link = "") {
  Status status = Status::failure(code, std::move(message));
  status.rank = rank;
  status.link = std::move(link);
  return status;
}

}  // namespace espalier::transport
