#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace espalier::engine {
namespace {

struct Candidate {
  double weight;
  int32_t token;
};

/// SplitMix64 of (seed, index): a stateless generator, so that a draw depends on nothing but its own index.
double uniform(uint64_t seed, uint64_t drawIndex) {
  uint64_t mixed = seed + (drawIndex + 1) * 0x9E3779B97F4A7C15ULL;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
  mixed ^= mixed >> 31;
  return static_cast<double>(mixed >> 11) * 0x1.0p-53;
}

/// -1 when one of them is not a number.
int32_t mostLikely(std::span<const float> logits) {
  int32_t best = 0;
  bool allNumbers = true;
  for (size_t token = 0; token < logits.size(); ++token) {
    allNumbers = allNumbers && !std::isnan(logits[token]);
    if (logits[token] > logits[static_cast<size_t>(best)]) best = static_cast<int32_t>(token);
  }
  return allNumbers ? best : -1;
}

/// Leaves in `candidates` the smallest set of the most likely tokens whose weights reach topP of the total.
void keepNucleus(std::vector<Candidate>& candidates, double total, double topP) {
  // A token this unlikely can not be in the nucleus: all such together weigh less than what is left out.
  const double cutoff = total * (1.0 - topP) / static_cast<double>(candidates.size());
  std::erase_if(candidates, [cutoff](const Candidate& candidate) { return candidate.weight < cutoff; });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& left, const Candidate& right) {
    return left.weight != right.weight ? left.weight > right.weight : left.token < right.token;
  });
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < total * topP)) sum += candidates[kept++].weight;
  candidates.resize(kept);
}

}  // namespace

int32_t sampleToken(std::span<const float> logits, const SamplingOptions& options, uint64_t drawIndex) {
  if (logits.empty()) return -1;
  const int32_t best = mostLikely(logits);
  if (best < 0) return -1;
  const double peak = logits[static_cast<size_t>(best)];
  if (!std::isfinite(peak)) return -1;
  if (options.temperature <= 0.0F) return best;

  std::vector<Candidate> candidates(logits.size());
  double total = 0;
  for (size_t token = 0; token < logits.size(); ++token) {
    const double weight = std::exp((static_cast<double>(logits[token]) - peak) / options.temperature);
    candidates[token] = {weight, static_cast<int32_t>(token)};
    total += weight;
  }
  if (!std::isfinite(total)) return -1;
  if (options.topP < 1.0F) {
    keepNucleus(candidates, total, options.topP);
    total = 0;
    for (const Candidate& candidate : candidates) total += candidate.weight;
  }
  double remaining = uniform(options.seed, drawIndex) * total;
  for (const Candidate& candidate : candidates) {
    remaining -= candidate.weight;
    if (remaining < 0) return candidate.token;
  }
  return best;  // Rounding left a sliver over: the most likely token is in every nucleus.
}

}  // namespace espalier::engine
