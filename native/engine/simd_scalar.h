#pragma once
// Sixteen lanes in plain C++: the reference, and the fallback for processors without a set of their own.
#include <cstdint>
#include <cstring>

#include "engine/number_formats.h"

namespace espalier::engine {
namespace {

constexpr int kTokenBlock = 1;
struct F {
  float lane[16];
};
struct I {
  int32_t lane[16];
};

template <typename V, typename Function>
inline V each(Function function) {
  V out;
  for (int i = 0; i < 16; i++) out.lane[i] = function(i);
  return out;
}

inline F zeroF() {
  return each<F>([](int) { return 0.0F; });
}
inline I zeroI() {
  return each<I>([](int) { return 0; });
}
inline F set1(float x) {
  return each<F>([=](int) { return x; });
}
inline F load(const float* p) {
  F out;
  std::memcpy(out.lane, p, sizeof(out.lane));
  return out;
}
inline void store(float* p, F a) { std::memcpy(p, a.lane, sizeof(a.lane)); }
inline I loadI(const void* p) {
  I out;
  std::memcpy(out.lane, p, sizeof(out.lane));
  return out;
}
inline void storeI(int32_t* p, I a) { std::memcpy(p, a.lane, sizeof(a.lane)); }
inline F loadHalf(const void* p) {
  return each<F>(
      [=](int i) { return halfToFloat(loadUnaligned<uint16_t>(static_cast<const uint8_t*>(p) + 2 * i)); });
}
inline F loadBFloat(const void* p) {
  return each<F>(
      [=](int i) { return bfloat16ToFloat(loadUnaligned<uint16_t>(static_cast<const uint8_t*>(p) + 2 * i)); });
}
inline F add(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F sub(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F mul(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F div(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] / b.lane[i]; });
}
inline F max(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F min(F a, F b) {
  return each<F>([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
inline F fma(F a, F b, F c) {
  return each<F>([&](int i) { return __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]); });
}
inline F abs(F a) {
  return each<F>([&](int i) { return __builtin_fabsf(a.lane[i]); });
}
inline I addI(I a, I b) {
  return each<I>([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F toFloat(I a) {
  return each<F>([&](int i) { return static_cast<float>(a.lane[i]); });
}
/// Nearest, ties to even.
inline I toInt(F a) {
  return each<I>([&](int i) { return static_cast<int32_t>(__builtin_rintf(a.lane[i])); });
}
inline F castF(I a) {
  F out;
  std::memcpy(&out, &a, sizeof(out));
  return out;
}
inline I castI(F a) {
  I out;
  std::memcpy(&out, &a, sizeof(out));
  return out;
}
inline I shiftLeft23(I a) {
  return each<I>([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) << 23); });
}
/// Two codes as 16-bit halves of each lane.
template <int Shift, uint32_t Mask>
inline I unpack(I a) {
  return each<I>([&](int i) { return static_cast<int32_t>(static_cast<uint32_t>(a.lane[i]) >> Shift & Mask); });
}
/// sum + low half × low half of *pair + high half × high half.
inline I dotPair(I sum, I a, const int16_t* pair) {
  return each<I>([&](int i) {
    const auto low = static_cast<int16_t>(a.lane[i] & 0xFFFF), high = static_cast<int16_t>(a.lane[i] >> 16);
    return sum.lane[i] + low * pair[0] + high * pair[1];
  });
}

}  // namespace
}  // namespace espalier::engine
