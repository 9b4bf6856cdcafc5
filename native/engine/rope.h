#pragma once
#include <vector>

#include "engine/config.h"

namespace espalier::engine {

/// Rotary position embedding over halves (element i with i + headDim / 2), tables for all positions of a context.
class Rope {
 public:
  Rope() = default;
  Rope(const RopeConfig& config, int headDim, int positions);
  /// Rotates one head in place.
  void apply(float* head, int position) const;

 private:
  int half_ = 0;
  std::vector<float> cosines_;  // [position][half]
  std::vector<float> sines_;
};

/// Radians per position of pair `index`.
double ropeFrequency(const RopeConfig& config, int headDim, int index);

}  // namespace espalier::engine
