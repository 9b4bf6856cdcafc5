#pragma once
#include <bit>
#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "transport/group.h"

/// What the collectives should compute, worked out element by element in the plainest way.
namespace espalier::test {

using transport::DataType;
using transport::ReduceOp;

#if defined(__aarch64__) && !defined(__clang__)
using Fp16 = __fp16;  // GCC 12 has no _Float16 in C++ there
#else
using Fp16 = _Float16;
#endif

struct Bf16 {
  uint16_t bits;
  bool operator==(const Bf16&) const = default;
};

inline Bf16 toBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const uint32_t kept = bits >> 16, dropped = bits & 0xffff;
  const bool up = dropped > 0x8000 || (dropped == 0x8000 && (kept & 1));
  return {static_cast<uint16_t>(kept + (up ? 1 : 0))};
}
inline float fromBf16(Bf16 value) { return std::bit_cast<float>(uint32_t{value.bits} << 16); }

/// Element `index` of rank `rank`: exact in no type, so that the order of a sum shows in its bits.
template <class T>
T element(int rank, size_t index) {
  const uint64_t hash = (uint64_t(rank) * 1'000'003 + index) * 0x9e3779b97f4a7c15ull;
  if constexpr (std::is_same_v<T, std::complex<float>>) {
    return {element<float>(rank, 2 * index), element<float>(rank, 2 * index + 1)};
  } else if constexpr (std::is_same_v<T, Bf16>) {
    return toBf16(element<float>(rank, index));
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(hash >> 24);
  } else {
    return static_cast<T>((static_cast<float>(hash >> 40) / 16777216.0f - 0.5f) * std::ldexp(1.0f, hash % 9));
  }
}

template <class T>
T combine(T a, T b, ReduceOp op) {
  if constexpr (std::is_same_v<T, Bf16>) {
    const float wideA = fromBf16(a), wideB = fromBf16(b);
    if (op == ReduceOp::Sum) return toBf16(wideA + wideB);
    return (op == ReduceOp::Max ? wideA > wideB : wideA < wideB) ? a : b;
  } else if constexpr (std::is_same_v<T, std::complex<float>>) {
    return a + b;
  } else if constexpr (std::is_integral_v<T>) {
    if (op == ReduceOp::Sum) return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    return op == ReduceOp::Max ? std::max(a, b) : std::min(a, b);
  } else {
    if (op == ReduceOp::Sum) return static_cast<T>(a + b);
    return op == ReduceOp::Max ? std::max(a, b) : std::min(a, b);
  }
}

/// The balanced tree over ranks [low, high) that the contract of Group promises.
template <class T>
T reduced(int low, int high, size_t index, ReduceOp op) {
  if (high - low == 1) return element<T>(low, index);
  int half = 1;
  while (half * 2 < high - low) half *= 2;
  return combine(reduced<T>(low, low + half, index, op), reduced<T>(low + half, high, index, op), op);
}

template <class Body>
void withType(DataType type, Body body) {
  switch (type) {
    case DataType::Float32: return body(float{});
    case DataType::Float16: return body(Fp16{});
    case DataType::BFloat16: return body(Bf16{});
    case DataType::Int8: return body(int8_t{});
    case DataType::Int16: return body(int16_t{});
    case DataType::Int32: return body(int32_t{});
    case DataType::Int64: return body(int64_t{});
    case DataType::Uint8: return body(uint8_t{});
    case DataType::Uint16: return body(uint16_t{});
    case DataType::Uint32: return body(uint32_t{});
    case DataType::Uint64: return body(uint64_t{});
    case DataType::Complex64: return body(std::complex<float>{});
  }
}

inline constexpr DataType kAllTypes[] = {
    DataType::Float32, DataType::Float16, DataType::BFloat16, DataType::Int8,   DataType::Int16,  DataType::Int32,
    DataType::Int64,   DataType::Uint8,   DataType::Uint16,   DataType::Uint32, DataType::Uint64, DataType::Complex64};

}  // namespace espalier::test
