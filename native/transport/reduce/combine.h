#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "transport/group.h"
#include "transport/reduce/scalar.h"

namespace espalier::transport {

// What every kernel computes, element by element: the definition of its bits.

/// What a float sum yields that is not a number. Which operand's NaN an addition hands on depends on the processor and on
/// the order in which a compiler passes the operands, so none is.
inline constexpr uint32_t kSumNan = 0x7fc0'0000;

[[gnu::always_inline]] inline float addFloats(float a, float b) {
  const float sum = a + b;
  return sum != sum ? std::bit_cast<float>(kSumNan) : sum;
}

/// Integers wrap; 16-bit floats are added in fp32 and rounded to nearest even. Max and Min: a NaN on either side wins, of
/// two the left one, bit by bit.
template <class T, ReduceOp kOp>
[[gnu::always_inline]] inline T combine(T a, T b) {
  constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>;
  if constexpr (kOp == ReduceOp::Sum) {
    if constexpr (kIsHalf) return narrowTo<T>(addFloats(widen(a), widen(b)));
    else if constexpr (std::is_integral_v<T>) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    else return addFloats(a, b);
  } else if constexpr (kIsHalf) {
    const float wideA = widen(a), wideB = widen(b);
    const bool takeA = (kOp == ReduceOp::Max ? wideA > wideB : wideA < wideB) || wideA != wideA;
    return {takeA ? a.bits : b.bits};
  } else {
    const bool takeA = (kOp == ReduceOp::Max ? a > b : a < b) || a != a;
    return takeA ? a : b;
  }
}

}  // namespace espalier::transport
