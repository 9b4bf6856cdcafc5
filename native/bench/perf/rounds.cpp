#include "bench/perf/rounds.h"

#include <algorithm>

namespace espalier::perf {
namespace {

constexpr double kMovedRatio = 1.3;
constexpr size_t kFewRounds = 3;

double middle(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

bool isSteady(const Round& round) {
  const auto [low, high] = std::minmax(round.probeBeforeUs, round.probeAfterUs);
  return low > 0 && high / low < kMovedRatio;
}

double levelOf(const Round& round) { return (round.probeBeforeUs + round.probeAfterUs) / 2; }

}  // namespace

std::vector<bool> choose(const std::vector<Round>& rounds) {
  size_t best = 0;
  double from = 0;
  for (const Round& start : rounds) {
    if (!isSteady(start)) continue;
    const auto near = static_cast<size_t>(std::count_if(rounds.begin(), rounds.end(), [&](const Round& round) {
      return isSteady(round) && levelOf(round) >= levelOf(start) && levelOf(round) < levelOf(start) * kMovedRatio;
    }));
    if (near <= best) continue;
    best = near;
    from = levelOf(start);
  }
  std::vector<bool> counts;
  for (const Round& round : rounds) {
    const bool isNear = isSteady(round) && levelOf(round) >= from && levelOf(round) < from * kMovedRatio;
    counts.push_back(best < std::min(kFewRounds, rounds.size()) || isNear);
  }
  return counts;
}

Result summarise(const Entry& entry, const std::vector<Round>& rounds, const std::vector<bool>& counts) {
  Result result{.library = entry.crew->spec().library, .variant = entry.crew->spec().variant, .cell = entry.cell};
  std::vector<double> medians, lates, means, probes;
  for (const Entry::Sample& sample : entry.samples) {
    const auto round = static_cast<size_t>(sample.round);
    if (!counts[round]) {
      ++result.roundsDropped;
      continue;
    }
    ++result.rounds;
    result.calls += sample.reply.units;
    if (medians.empty() || sample.reply.minUs < result.minUs) result.minUs = sample.reply.minUs;
    medians.push_back(sample.reply.medianUs);
    lates.push_back(sample.reply.p99Us);
    means.push_back(sample.reply.meanUs);
    probes.push_back(levelOf(rounds[round]));
  }
  result.medianUs = middle(medians);
  result.p99Us = middle(lates);
  result.meanUs = middle(means);
  result.probeUs = middle(probes);
  return result;
}

double ratioOf(const Entry& ours, const Entry& floor, const std::vector<bool>& counts) {
  std::vector<double> ratios;
  for (const Entry::Sample& mine : ours.samples) {
    for (const Entry::Sample& other : floor.samples) {
      if (other.round != mine.round || !counts[static_cast<size_t>(mine.round)]) continue;
      if (other.reply.medianUs > 0) ratios.push_back(mine.reply.medianUs / other.reply.medianUs);
    }
  }
  return middle(ratios);
}

}  // namespace espalier::perf
