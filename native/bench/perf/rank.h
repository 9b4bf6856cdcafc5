#pragma once
#include <memory>
#include <string>

#include "bench/perf/library.h"

namespace espalier::perf {

/// The life of one rank: opens its library, tells the conductor at `folder`/conductor, and carries out its commands
/// until the conductor closes the connection. Returns the exit status of the process.
int serveEspalier(const std::string& folder, Seat seat, const EspalierOptions& options);
int serveFloor(const std::string& folder, Seat seat, const FloorPlace& place);
int servePerftest(const std::string& folder, Seat seat, const std::vector<std::string>& devices);
/// Started by mpirun, which knows the rank.
int serveMpi(const std::string& folder, int crew);

}  // namespace espalier::perf
