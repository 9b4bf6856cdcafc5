#if defined(__x86_64__)
#include <immintrin.h>

#include "transport/reduce/combine.h"
#include "transport/reduce/kernel_sets.h"

#define ESPALIER_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

// Intrinsics come with a mask of zeroing lanes throughout: it serves the tail, and is dropped where it is constant.
// GCC 12 warns of the forms without one (GCC bug 105593).
// bf16 is rounded with integers: vcvtneps2bf16 takes subnormal numbers for zero.

namespace espalier::transport {
namespace avx512 {
namespace {

constexpr size_t kLanes = 16;
constexpr __mmask16 kAllLanes = 0xffff;
inline __mmask16 upTo(size_t lanes) { return lanes >= kLanes ? kAllLanes : static_cast<__mmask16>((1u << lanes) - 1); }

ESPALIER_AVX512 inline __m512 load(const float* from, __mmask16 lanes) { return _mm512_maskz_loadu_ps(lanes, from); }
ESPALIER_AVX512 inline __m256i load(const Float16* from, __mmask16 lanes) {
  return _mm256_maskz_loadu_epi16(lanes, from);
}
ESPALIER_AVX512 inline __m256i load(const BFloat16* from, __mmask16 lanes) {
  return _mm256_maskz_loadu_epi16(lanes, from);
}
ESPALIER_AVX512 inline void store(float* to, __m512 value, __mmask16 lanes) { _mm512_mask_storeu_ps(to, lanes, value); }
ESPALIER_AVX512 inline void store(void* to, __m256i value, __mmask16 lanes) {
  _mm256_mask_storeu_epi16(to, lanes, value);
}

/// Numbers to be computed with, from and to what lies in memory; the last argument names the type.
ESPALIER_AVX512 inline __m512 wide(__m512 value, float) { return value; }
ESPALIER_AVX512 inline __m512 wide(__m256i bits, Float16) { return _mm512_maskz_cvtph_ps(kAllLanes, bits); }
ESPALIER_AVX512 inline __m512 wide(__m256i bits, BFloat16) {
  return _mm512_castsi512_ps(_mm512_maskz_slli_epi32(kAllLanes, _mm512_maskz_cvtepu16_epi32(kAllLanes, bits), 16));
}
ESPALIER_AVX512 inline __m512 narrow(__m512 value, float) { return value; }
ESPALIER_AVX512 inline __m256i narrow(__m512 value, Float16) {
  return _mm512_maskz_cvtps_ph(kAllLanes, value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// Of no NaN but kSumNan, which stays one.
ESPALIER_AVX512 inline __m256i narrow(__m512 value, BFloat16) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_maskz_srli_epi32(kAllLanes, bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  return _mm512_maskz_cvtepi32_epi16(kAllLanes, _mm512_maskz_srli_epi32(kAllLanes, rounded, 16));
}

ESPALIER_AVX512 inline __m512 select(__mmask16 mask, __m512 yes, __m512 no) {
  return _mm512_mask_mov_ps(no, mask, yes);
}
ESPALIER_AVX512 inline __m256i select(__mmask16 mask, __m256i yes, __m256i no) {
  return _mm256_mask_mov_epi16(no, mask, yes);
}

template <class T>
ESPALIER_AVX512 inline __m512 added(const T* left, const T* right, __mmask16 lanes) {
  return _mm512_add_ps(wide(load(left, lanes), T{}), wide(load(right, lanes), T{}));
}
ESPALIER_AVX512 inline __mmask16 eitherIsNan(__m512 x, __m512 y) { return _mm512_cmp_ps_mask(x, y, _CMP_UNORD_Q); }
ESPALIER_AVX512 inline __m512 withSumNan(__m512 sum) {
  return select(eitherIsNan(sum, sum), _mm512_castsi512_ps(_mm512_set1_epi32(kSumNan)), sum);
}

/// NaNs are rare: they are looked for in four sums at a time.
template <class T>
ESPALIER_AVX512 void sum(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    __m512 sum0 = added(left + i, right + i, kAllLanes);
    __m512 sum1 = added(left + i + kLanes, right + i + kLanes, kAllLanes);
    __m512 sum2 = added(left + i + 2 * kLanes, right + i + 2 * kLanes, kAllLanes);
    __m512 sum3 = added(left + i + 3 * kLanes, right + i + 3 * kLanes, kAllLanes);
    if ((eitherIsNan(sum0, sum1) | eitherIsNan(sum2, sum3)) != 0) [[unlikely]] {
      sum0 = withSumNan(sum0), sum1 = withSumNan(sum1), sum2 = withSumNan(sum2), sum3 = withSumNan(sum3);
    }
    store(to + i, narrow(sum0, T{}), kAllLanes);
    store(to + i + kLanes, narrow(sum1, T{}), kAllLanes);
    store(to + i + 2 * kLanes, narrow(sum2, T{}), kAllLanes);
    store(to + i + 3 * kLanes, narrow(sum3, T{}), kAllLanes);
  }
  for (; i < count; i += kLanes) {
    const __mmask16 lanes = upTo(count - i);
    store(to + i, narrow(withSumNan(added(left + i, right + i, lanes)), T{}), lanes);
  }
}

template <class T, ReduceOp kOp>
ESPALIER_AVX512 inline void extremeStep(T* to, const T* left, const T* right, __mmask16 lanes) {
  const auto a = load(left, lanes), b = load(right, lanes);
  const __m512 x = wide(a, T{}), y = wide(b, T{});
  const __mmask16 beats = _mm512_cmp_ps_mask(y, x, kOp == ReduceOp::Max ? _CMP_LT_OQ : _CMP_GT_OQ);
  store(to, select(static_cast<__mmask16>(beats | eitherIsNan(x, x)), a, b), lanes);
}

template <class T, ReduceOp kOp>
ESPALIER_AVX512 void extreme(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) extremeStep<T, kOp>(to + i, left + i, right + i, kAllLanes);
  if (i < count) extremeStep<T, kOp>(to + i, left + i, right + i, upTo(count - i));
}

template <class T>
Kernel pick(ReduceOp op) {
  if (op == ReduceOp::Sum) return sum<T>;
  return op == ReduceOp::Max ? extreme<T, ReduceOp::Max> : extreme<T, ReduceOp::Min>;
}

Kernel find(DataType type, ReduceOp op) {
  if (type == DataType::Float32) return pick<float>(op);
  if (type == DataType::Float16) return pick<Float16>(op);
  return type == DataType::BFloat16 ? pick<BFloat16>(op) : nullptr;
}

/// VBMI2 came with the processors (Ice Lake, Zen 4) that no longer slow down for 512 bits.
bool runsHere() {
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi2");
}

}  // namespace
}  // namespace avx512

const KernelSet kAvx512 = {"AVX-512", avx512::runsHere, avx512::find};

}  // namespace espalier::transport
#endif
