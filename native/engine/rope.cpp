#include "engine/rope.h"

#include <cmath>
#include <numbers>

namespace espalier::engine {

double ropeFrequency(const RopeConfig& config, int headDim, int index) {
  const double frequency = std::pow(config.theta, -2.0 * index / headDim);
  if (config.scaling == RopeScaling::None) return frequency;
  if (config.scaling == RopeScaling::Linear) return frequency / config.factor;
  // Llama 3.1: long waves are stretched, short ones kept, those between interpolated (transformers,
  // modeling_rope_utils.py).
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength < config.originalMaxPositions / config.highFrequencyFactor) return frequency;
  if (wavelength > config.originalMaxPositions / config.lowFrequencyFactor) return frequency / config.factor;
  const double smooth = (config.originalMaxPositions / wavelength - config.lowFrequencyFactor) /
                        (config.highFrequencyFactor - config.lowFrequencyFactor);
  return (1.0 - smooth) * frequency / config.factor + smooth * frequency;
}

Rope::Rope(const RopeConfig& config, int headDim, int positions) : half_(headDim / 2) {
  const auto half = static_cast<size_t>(half_);
  cosines_.resize(half * static_cast<size_t>(positions));
  sines_.resize(cosines_.size());
  for (size_t pair = 0; pair < half; pair++) {
    const double frequency = ropeFrequency(config, headDim, static_cast<int>(pair));
    for (size_t position = 0; position < static_cast<size_t>(positions); position++) {
      const double angle = frequency * static_cast<double>(position);
      cosines_[position * half + pair] = static_cast<float>(std::cos(angle));
      sines_[position * half + pair] = static_cast<float>(std::sin(angle));
    }
  }
}

void Rope::apply(float* head, int position) const {
  const float* cosines = cosines_.data() + static_cast<size_t>(position) * static_cast<size_t>(half_);
  const float* sines = sines_.data() + static_cast<size_t>(position) * static_cast<size_t>(half_);
  for (int i = 0; i < half_; i++) {
    const float first = head[i], second = head[i + half_];
    head[i] = first * cosines[i] - second * sines[i];
    head[i + half_] = second * cosines[i] + first * sines[i];
  }
}

}  // namespace espalier::engine
