#pragma once
// Sixteen lanes in four registers (AArch64).
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace espalier::engine {
namespace {

constexpr int kTokenBlock = 4;
struct F {
  float32x4_t v[4];
};
struct I {
  int32x4_t v[4];
};

template <typename V, typename Function>
inline V each(Function function) {
  return {{function(0), function(1), function(2), function(3)}};
}

inline F zeroF() {
  return each<F>([](int) { return vdupq_n_f32(0); });
}
inline I zeroI() {
  return each<I>([](int) { return vdupq_n_s32(0); });
}
inline F set1(float x) {
  return each<F>([=](int) { return vdupq_n_f32(x); });
}
inline F load(const float* p) {
  return each<F>([=](int i) { return vld1q_f32(p + 4 * i); });
}
inline void store(float* p, F a) {
  for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.v[i]);
}
inline I loadI(const void* p) {
  return each<I>([=](int i) { return vreinterpretq_s32_u8(vld1q_u8(static_cast<const uint8_t*>(p) + 16 * i)); });
}
inline void storeI(int32_t* p, I a) {
  for (int i = 0; i < 4; i++) vst1q_s32(p + 4 * i, a.v[i]);
}
inline uint16x4_t loadU16(const void* p, int i) {
  return vreinterpret_u16_u8(vld1_u8(static_cast<const uint8_t*>(p) + 8 * i));
}
inline F loadHalf(const void* p) {
  return each<F>([=](int i) { return vcvt_f32_f16(vreinterpret_f16_u16(loadU16(p, i))); });
}
inline F loadBFloat(const void* p) {
  return each<F>([=](int i) { return vreinterpretq_f32_u32(vshll_n_u16(loadU16(p, i), 16)); });
}
inline F add(F a, F b) {
  return each<F>([&](int i) { return vaddq_f32(a.v[i], b.v[i]); });
}
inline F sub(F a, F b) {
  return each<F>([&](int i) { return vsubq_f32(a.v[i], b.v[i]); });
}
inline F mul(F a, F b) {
  return each<F>([&](int i) { return vmulq_f32(a.v[i], b.v[i]); });
}
inline F div(F a, F b) {
  return each<F>([&](int i) { return vdivq_f32(a.v[i], b.v[i]); });
}
inline F max(F a, F b) {
  return each<F>([&](int i) { return vmaxq_f32(a.v[i], b.v[i]); });
}
inline F min(F a, F b) {
  return each<F>([&](int i) { return vminq_f32(a.v[i], b.v[i]); });
}
inline F fma(F a, F b, F c) {
  return each<F>([&](int i) { return vfmaq_f32(c.v[i], a.v[i], b.v[i]); });
}
inline F abs(F a) {
  return each<F>([&](int i) { return vabsq_f32(a.v[i]); });
}
inline I addI(I a, I b) {
  return each<I>([&](int i) { return vaddq_s32(a.v[i], b.v[i]); });
}
inline F toFloat(I a) {
  return each<F>([&](int i) { return vcvtq_f32_s32(a.v[i]); });
}
inline I toInt(F a) {
  return each<I>([&](int i) { return vcvtnq_s32_f32(a.v[i]); });
}
inline F castF(I a) {
  return each<F>([&](int i) { return vreinterpretq_f32_s32(a.v[i]); });
}
inline I castI(F a) {
  return each<I>([&](int i) { return vreinterpretq_s32_f32(a.v[i]); });
}
inline I shiftLeft23(I a) {
  return each<I>([&](int i) { return vshlq_n_s32(a.v[i], 23); });
}
template <int Shift, uint32_t Mask>
inline I unpack(I a) {
  return each<I>([&](int i) {
    const uint32x4_t bits = vreinterpretq_u32_s32(a.v[i]);
    if constexpr (Shift == 0) return vreinterpretq_s32_u32(vandq_u32(bits, vdupq_n_u32(Mask)));
    else return vreinterpretq_s32_u32(vandq_u32(vshrq_n_u32(bits, Shift), vdupq_n_u32(Mask)));
  });
}
inline I dotPair(I sum, I a, const int16_t* pair) {
  int32_t both;
  std::memcpy(&both, pair, sizeof(both));
  const int16x8_t y = vreinterpretq_s16_s32(vdupq_n_s32(both));
  return each<I>([&](int i) {
    const int16x8_t x = vreinterpretq_s16_s32(a.v[i]);
    const int32x4_t low = vmull_s16(vget_low_s16(x), vget_low_s16(y));
    return vaddq_s32(sum.v[i], vpaddq_s32(low, vmull_high_s16(x, y)));
  });
}

}  // namespace
}  // namespace espalier::engine
