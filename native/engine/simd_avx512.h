#pragma once
// Sixteen lanes in one register.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace espalier::engine {
namespace {

constexpr int kTokenBlock = 8;
struct F {
  __m512 v;
};
struct I {
  __m512i v;
};

inline F zeroF() { return {_mm512_setzero_ps()}; }
inline I zeroI() { return {_mm512_setzero_si512()}; }
inline F set1(float x) { return {_mm512_set1_ps(x)}; }
inline F load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, F a) { _mm512_storeu_ps(p, a.v); }
inline I loadI(const void* p) { return {_mm512_loadu_si512(p)}; }
inline void storeI(int32_t* p, I a) { _mm512_storeu_si512(p, a.v); }
inline F loadHalf(const void* p) { return {_mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)))}; }
inline F loadBFloat(const void* p) {
  const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
inline F add(F a, F b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F sub(F a, F b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F mul(F a, F b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F div(F a, F b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F max(F a, F b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F min(F a, F b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F fma(F a, F b, F c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F abs(F a) { return {_mm512_abs_ps(a.v)}; }
inline I addI(I a, I b) { return {_mm512_add_epi32(a.v, b.v)}; }
inline F toFloat(I a) { return {_mm512_cvtepi32_ps(a.v)}; }
inline I toInt(F a) { return {_mm512_cvtps_epi32(a.v)}; }
inline F castF(I a) { return {_mm512_castsi512_ps(a.v)}; }
inline I castI(F a) { return {_mm512_castps_si512(a.v)}; }
inline I shiftLeft23(I a) { return {_mm512_slli_epi32(a.v, 23)}; }
template <int Shift, uint32_t Mask>
inline I unpack(I a) {
  return {_mm512_and_si512(Shift == 0 ? a.v : _mm512_srli_epi32(a.v, Shift), _mm512_set1_epi32(Mask))};
}
inline I dotPair(I sum, I a, const int16_t* pair) {
  int32_t both;
  std::memcpy(&both, pair, sizeof(both));
  return {_mm512_dpwssd_epi32(sum.v, a.v, _mm512_set1_epi32(both))};
}

}  // namespace
}  // namespace espalier::engine
