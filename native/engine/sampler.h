#pragma once
#include <cstdint>
#include <span>

namespace espalier::engine {

/// How the next token is chosen. Plain data: it travels in the step header.
struct SamplingOptions {
  float temperature = 1.0F;  ///< 0: the most likely token
  float topP = 1.0F;         ///< smallest set of tokens whose probabilities reach this sum
  uint64_t seed = 0;
};

/// Chooses a token. A pure function: `drawIndex` counts the tokens that this request has drawn, so that
/// the same seed gives the same text whatever batch the request travels in. Ties go to the lower id.
/// Returns -1 when the logits are not finite numbers.
int32_t sampleToken(std::span<const float> logits, const SamplingOptions& options, uint64_t drawIndex);

}  // namespace espalier::engine
