#pragma once
#include <functional>
#include <string>
#include <vector>

#include "bench/perf/cell.h"
#include "bench/perf/crew.h"
#include "bench/perf/options.h"

namespace espalier::perf {

struct Result {
  std::string library;
  std::string variant;  ///< of a peer: which of its settings was the fastest
  Cell cell;
  double minUs = 0, medianUs = 0, p99Us = 0, meanUs = 0;
  uint64_t calls = 0;
  /// Of the rounds that count: a 64 KiB exchange between the cores. 0: not probed (more ranks than cores).
  double probeUs = 0;
  /// Ours over verbs: the median of each round's time over that of ib_send_lat in the same round. 0: not measured.
  double overFloor = 0;
  int rounds = 0;         ///< that count
  int roundsDropped = 0;  ///< in which the host moved the cores, or had them elsewhere
};

struct Listener {
  std::function<void(const std::string& text)> onNotice;    ///< a contender does not take part, and why
  std::function<void(const std::string& text)> onProgress;
};

/// Runs everything that `options` ask for. Empty: success; else why our own library or the run itself failed.
std::string runTournament(const Options& options, const Listener& listener, std::vector<Result>& results);

}  // namespace espalier::perf
