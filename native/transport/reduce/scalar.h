#pragma once
#include <bit>
#include <cstdint>

namespace espalier::transport {

// Conversions that are plain integer code: the same bits everywhere, and loops over them vectorise. Every NaN narrows to
// one and the same.

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

[[gnu::always_inline]] inline float widen(BFloat16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

[[gnu::always_inline]] inline BFloat16 narrowToBFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // Adding half of the dropped part, less one unless the kept part is odd, rounds to nearest even.
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return {static_cast<uint16_t>((bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : rounded)};
}

[[gnu::always_inline]] inline float widen(Float16 value) {
  const uint32_t sign = uint32_t{value.bits & 0x8000u} << 16;
  const uint32_t rest = value.bits & 0x7fffu;
  // Scaling by 2^112 moves the exponent and makes subnormals normal in one exact multiplication.
  const float scaled = std::bit_cast<float>(rest << 13) * 0x1p112f;
  const uint32_t infinityOrNan = 0x7f800000u | rest << 13;
  const uint32_t magnitude = rest >= 0x7c00 ? infinityOrNan : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(sign | magnitude);
}

[[gnu::always_inline]] inline Float16 narrowToFloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 16 & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  // Normal results: rebias the exponent by 112 and round to nearest even in the 13 dropped bits.
  const uint32_t normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  // Subnormal results: adding 0.5 leaves exactly the bits that fp16 keeps at the low end of the mantissa.
  const uint32_t subnormal = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t result = magnitude < 0x38800000 ? subnormal : normal;
  result = magnitude >= 0x477ff000 ? 0x7c00 : result;  // rounds beyond 65504
  return {static_cast<uint16_t>(magnitude > 0x7f800000 ? 0x7e00 : sign | result)};
}

template <class Half>
Half narrowTo(float value);
template <>
[[gnu::always_inline]] inline BFloat16 narrowTo<BFloat16>(float value) { return narrowToBFloat16(value); }
template <>
[[gnu::always_inline]] inline Float16 narrowTo<Float16>(float value) { return narrowToFloat16(value); }

}  // namespace espalier::transport
