#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bench/perf/tournament.h"

namespace espalier::perf {

/// A crew and the cell that it is measured in: a library with two kinds of buffers has two entries.
struct Entry {
  Crew* crew = nullptr;
  Cell cell;
  uint32_t units = 3, warmups = 2;
  struct Sample {
    int round = 0;
    Reply reply;
  };
  std::vector<Sample> samples{};
};

struct Round {
  double probeBeforeUs = 0, probeAfterUs = 0;
};

/// Which rounds count: those whose probes agree with each other, and of them the largest set with the cores equally
/// near to each other. All, when that leaves too few or there are no probes.
std::vector<bool> choose(const std::vector<Round>& rounds);

/// The entry's figures over the rounds that count: medians of each round's median, p99 and so on.
Result summarise(const Entry& entry, const std::vector<Round>& rounds, const std::vector<bool>& counts);

/// Median over the rounds that count of `ours` over `floor` in the same round: what slows a machine down for a while
/// slows both. 0 without such rounds.
double ratioOf(const Entry& ours, const Entry& floor, const std::vector<bool>& counts);

}  // namespace espalier::perf
