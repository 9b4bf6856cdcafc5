#pragma once
// Sixteen lanes in two registers.
#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace espalier::engine {
namespace {

constexpr int kTokenBlock = 4;
struct F {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};

inline const __m256i* at(const void* p, int index) { return static_cast<const __m256i*>(p) + index; }
inline F zeroF() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline I zeroI() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
inline F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
inline F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F x) { _mm256_storeu_ps(p, x.a), _mm256_storeu_ps(p + 8, x.b); }
inline I loadI(const void* p) { return {_mm256_loadu_si256(at(p, 0)), _mm256_loadu_si256(at(p, 1))}; }
inline void storeI(int32_t* p, I x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x.a);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p + 8), x.b);
}
inline F loadHalf(const void* p) {
  const auto* half = static_cast<const __m128i*>(p);
  return {_mm256_cvtph_ps(_mm_loadu_si128(half)), _mm256_cvtph_ps(_mm_loadu_si128(half + 1))};
}
inline __m256 widen(__m128i bits) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
inline F loadBFloat(const void* p) {
  const auto* half = static_cast<const __m128i*>(p);
  return {widen(_mm_loadu_si128(half)), widen(_mm_loadu_si128(half + 1))};
}
inline F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
inline F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
inline F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
inline F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
inline F abs(F x) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
inline I addI(I x, I y) { return {_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)}; }
inline F toFloat(I x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline I toInt(F x) { return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)}; }
inline F castF(I x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }
inline I castI(F x) { return {_mm256_castps_si256(x.a), _mm256_castps_si256(x.b)}; }
inline I shiftLeft23(I x) { return {_mm256_slli_epi32(x.a, 23), _mm256_slli_epi32(x.b, 23)}; }
template <int Shift, uint32_t Mask>
inline I unpack(I x) {
  const __m256i mask = _mm256_set1_epi32(Mask);
  if (Shift == 0) return {_mm256_and_si256(x.a, mask), _mm256_and_si256(x.b, mask)};
  return {_mm256_and_si256(_mm256_srli_epi32(x.a, Shift), mask),
          _mm256_and_si256(_mm256_srli_epi32(x.b, Shift), mask)};
}
inline I dotPair(I sum, I x, const int16_t* pair) {
  int32_t both;
  std::memcpy(&both, pair, sizeof(both));
  const __m256i y = _mm256_set1_epi32(both);
  return {_mm256_add_epi32(sum.a, _mm256_madd_epi16(x.a, y)), _mm256_add_epi32(sum.b, _mm256_madd_epi16(x.b, y))};
}

}  // namespace
}  // namespace espalier::engine
