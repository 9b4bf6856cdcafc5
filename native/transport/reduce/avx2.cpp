#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "transport/reduce/combine.h"
#include "transport/reduce/kernel_sets.h"

#define ESPALIER_AVX2 __attribute__((target("avx2,f16c")))

namespace espalier::transport {
namespace avx2 {
namespace {

constexpr size_t kLanes = 8;

ESPALIER_AVX2 inline __m256 load(const float* from) { return _mm256_loadu_ps(from); }
ESPALIER_AVX2 inline __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
ESPALIER_AVX2 inline void store(float* to, __m256 value) { _mm256_storeu_ps(to, value); }
ESPALIER_AVX2 inline void store(void* to, __m128i value) { _mm_storeu_si128(static_cast<__m128i*>(to), value); }

/// Numbers to be computed with, from and to what lies in memory; the last argument names the type.
ESPALIER_AVX2 inline __m256 wide(__m256 value, float) { return value; }
ESPALIER_AVX2 inline __m256 wide(__m128i bits, Float16) { return _mm256_cvtph_ps(bits); }
ESPALIER_AVX2 inline __m256 wide(__m128i bits, BFloat16) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
ESPALIER_AVX2 inline __m256 narrow(__m256 value, float) { return value; }
ESPALIER_AVX2 inline __m128i narrow(__m256 value, Float16) {
  return _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/// Of no NaN but kSumNan, which stays one.
ESPALIER_AVX2 inline __m128i narrow(__m256 value, BFloat16) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i high = _mm256_srli_epi32(rounded, 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}

ESPALIER_AVX2 inline __m256 select(__m256 mask, __m256 yes, __m256 no) { return _mm256_blendv_ps(no, yes, mask); }
ESPALIER_AVX2 inline __m128i select(__m256 mask, __m128i yes, __m128i no) {
  const __m256i bits = _mm256_castps_si256(mask);
  return _mm_blendv_epi8(no, yes, _mm_packs_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1)));
}

template <class T>
ESPALIER_AVX2 inline __m256 added(const T* left, const T* right) {
  return _mm256_add_ps(wide(load(left), T{}), wide(load(right), T{}));
}
ESPALIER_AVX2 inline __m256 eitherIsNan(__m256 x, __m256 y) { return _mm256_cmp_ps(x, y, _CMP_UNORD_Q); }
ESPALIER_AVX2 inline __m256 withSumNan(__m256 sum) {
  return select(eitherIsNan(sum, sum), _mm256_castsi256_ps(_mm256_set1_epi32(kSumNan)), sum);
}

ESPALIER_AVX2 inline __m256i withoutSign(__m256 value) { return _mm256_slli_epi32(_mm256_castps_si256(value), 1); }
ESPALIER_AVX2 inline __m256i mostOf(__m256 x, __m256 y, __m256 z, __m256 w) {
  return _mm256_max_epu32(_mm256_max_epu32(withoutSign(x), withoutSign(y)),
                          _mm256_max_epu32(withoutSign(z), withoutSign(w)));
}
/// Whether one is among those of which these are the most. By their bits: without the sign, a NaN is above infinity.
/// Where floats are emulated that takes half as long as to compare them.
ESPALIER_AVX2 inline bool areNans(__m256i most) {
  const __m256i infinity = _mm256_set1_epi32(static_cast<int>(0xff00'0000u));
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32(_mm256_max_epu32(most, infinity), infinity)) != -1;
}

/// One NaN for all kinds of them.
[[gnu::noinline, gnu::cold]] ESPALIER_AVX2 void unifyNans(float* sums, size_t count) {
  for (size_t i = 0; i < count; i += kLanes) store(sums + i, withSumNan(load(sums + i)));
}

/// NaNs are rare: they are looked for in what a whole block of sums has been, while the block is in the nearest cache.
ESPALIER_AVX2 void sumFloats(void* out, const void* a, const void* b, size_t count) {
  constexpr size_t kStep = 4 * kLanes, kBlock = 32 * kStep;
  auto* to = static_cast<float*>(out);
  const auto *left = static_cast<const float*>(a), *right = static_cast<const float*>(b);
  size_t i = 0;
  while (i + kStep <= count) {
    const size_t began = i, stop = i + std::min(count - i, kBlock) / kStep * kStep;
    __m256i most = _mm256_setzero_si256();
    for (; i < stop; i += kStep) {
      const __m256 sum0 = added(left + i, right + i);
      const __m256 sum1 = added(left + i + kLanes, right + i + kLanes);
      const __m256 sum2 = added(left + i + 2 * kLanes, right + i + 2 * kLanes);
      const __m256 sum3 = added(left + i + 3 * kLanes, right + i + 3 * kLanes);
      store(to + i, sum0);
      store(to + i + kLanes, sum1);
      store(to + i + 2 * kLanes, sum2);
      store(to + i + 3 * kLanes, sum3);
      most = _mm256_max_epu32(most, mostOf(sum0, sum1, sum2, sum3));
    }
    if (areNans(most)) [[unlikely]] unifyNans(to + began, stop - began);
  }
  for (; i + kLanes <= count; i += kLanes) store(to + i, withSumNan(added(left + i, right + i)));
  for (; i < count; ++i) to[i] = combine<float, ReduceOp::Sum>(left[i], right[i]);
}

/// The same, but a NaN must be known before it is narrowed: four sums at a time.
template <class T>
ESPALIER_AVX2 void sum(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + 4 * kLanes <= count; i += 4 * kLanes) {
    __m256 sum0 = added(left + i, right + i);
    __m256 sum1 = added(left + i + kLanes, right + i + kLanes);
    __m256 sum2 = added(left + i + 2 * kLanes, right + i + 2 * kLanes);
    __m256 sum3 = added(left + i + 3 * kLanes, right + i + 3 * kLanes);
    if (areNans(mostOf(sum0, sum1, sum2, sum3))) [[unlikely]] {
      sum0 = withSumNan(sum0), sum1 = withSumNan(sum1), sum2 = withSumNan(sum2), sum3 = withSumNan(sum3);
    }
    store(to + i, narrow(sum0, T{}));
    store(to + i + kLanes, narrow(sum1, T{}));
    store(to + i + 2 * kLanes, narrow(sum2, T{}));
    store(to + i + 3 * kLanes, narrow(sum3, T{}));
  }
  for (; i + kLanes <= count; i += kLanes) store(to + i, narrow(withSumNan(added(left + i, right + i)), T{}));
  for (; i < count; ++i) to[i] = combine<T, ReduceOp::Sum>(left[i], right[i]);
}

template <class T, ReduceOp kOp>
ESPALIER_AVX2 void extreme(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto ours = load(left + i), theirs = load(right + i);
    const __m256 x = wide(ours, T{}), y = wide(theirs, T{});
    const __m256 beats = _mm256_cmp_ps(y, x, kOp == ReduceOp::Max ? _CMP_LT_OQ : _CMP_GT_OQ);
    store(to + i, select(_mm256_or_ps(beats, eitherIsNan(x, x)), ours, theirs));
  }
  for (; i < count; ++i) to[i] = combine<T, kOp>(left[i], right[i]);
}

#define ESPALIER_TARGET ESPALIER_AVX2
#include "transport/reduce/loops.inc"
#undef ESPALIER_TARGET

template <class T>
Kernel pick(ReduceOp op) {
  if constexpr (std::is_same_v<T, float>) {
    if (op == ReduceOp::Sum) return sumFloats;
  } else {
    if (op == ReduceOp::Sum) return sum<T>;
  }
  return op == ReduceOp::Max ? extreme<T, ReduceOp::Max> : extreme<T, ReduceOp::Min>;
}

Kernel find(DataType type, ReduceOp op) {
  switch (type) {
    case DataType::Float32: return pick<float>(op);
    case DataType::Float16: return pick<Float16>(op);
    case DataType::BFloat16: return pick<BFloat16>(op);
    default: return integerLoop(type, op);
  }
}

bool runsHere() {
  unsigned a = 0, b = 0, c = 0, d = 0;  // clang 14 has no name for F16C
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

}  // namespace
}  // namespace avx2

const KernelSet kAvx2 = {"AVX2", avx2::runsHere, avx2::find};

}  // namespace espalier::transport
#endif
