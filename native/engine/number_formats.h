#pragma once
#include <cstdint>
#include <cstring>

namespace espalier::engine {

// `static` on purpose: these are compiled into translation units for different instruction sets.

static inline float bitsToFloat(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

static inline float bfloat16ToFloat(uint16_t bits) { return bitsToFloat(static_cast<uint32_t>(bits) << 16); }

static inline float halfToFloat(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t rest = half & 0x7FFFU;
  if (rest >= 0x7C00U) return bitsToFloat(sign | 0x7F800000U | (rest & 0x3FFU) << 13);
  // Scaling by 2^112 moves the exponent's bias from 15 to 127 and makes subnormals normal, exactly.
  const float magnitude = bitsToFloat(rest << 13) * bitsToFloat((127U + 112U) << 23);
  return sign != 0 ? -magnitude : magnitude;
}

template <typename T>
static inline T loadUnaligned(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

}  // namespace espalier::engine
