#pragma once
#include <string>
#include <vector>

#include "bench/perf/library.h"
#include "bench/perf/wire.h"

namespace espalier::perf {

/// One run of ib_send_lat between two ranks, called by both: half of a round trip. Fills the times of `reply`.
/// Empty: success.
std::string runPerftest(const Seat& seat, const std::vector<std::string>& devices, const Cell& cell, Reply& reply);

}  // namespace espalier::perf
