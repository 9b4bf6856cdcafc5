#pragma once
#include <string>

#include "bench/perf/cell.h"

namespace espalier::perf {

// The conductor and the ranks are one program on one host: plain structures over a Unix socket.

struct Hello {
  int32_t crew = 0, rank = 0, pid = 0;
};

struct Command {
  enum class Kind : uint32_t { Prepare, Measure, Probe };
  Kind kind = Kind::Measure;
  uint32_t warmups = 0, units = 0;  ///< Measure only
  Cell cell{};
};

struct Reply {
  uint32_t ok = 0;
  uint32_t units = 0;
  /// Of one call, on this rank.
  double minUs = 0, medianUs = 0, p99Us = 0, meanUs = 0;
  double wallUs = 0;   ///< of all timed units with what is done between them
  double probeUs = 0;  ///< Probe only
  char error[600] = {};
};

/// Whole structures or nothing. False: the other end is gone.
bool writeAll(int socket, const void* data, size_t bytes);
bool readAll(int socket, void* data, size_t bytes);

int listenAt(const std::string& path);
int connectTo(const std::string& path);

}  // namespace espalier::perf
