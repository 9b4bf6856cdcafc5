#if defined(__aarch64__)
#include <arm_neon.h>

#include "transport/reduce/combine.h"
#include "transport/reduce/kernel_sets.h"

namespace espalier::transport {
namespace neon {
namespace {

constexpr size_t kLanes = 4;

inline float32x4_t load(const float* from) { return vld1q_f32(from); }
inline uint16x4_t load(const Float16* from) { return vld1_u16(&from->bits); }
inline uint16x4_t load(const BFloat16* from) { return vld1_u16(&from->bits); }
inline void store(float* to, float32x4_t value) { vst1q_f32(to, value); }
inline void store(Float16* to, uint16x4_t value) { vst1_u16(&to->bits, value); }
inline void store(BFloat16* to, uint16x4_t value) { vst1_u16(&to->bits, value); }

/// Numbers to be computed with, from and to what lies in memory; the last argument names the type.
inline float32x4_t wide(float32x4_t value, float) { return value; }
inline float32x4_t wide(uint16x4_t bits, Float16) { return vcvt_f32_f16(vreinterpret_f16_u16(bits)); }
inline float32x4_t wide(uint16x4_t bits, BFloat16) { return vreinterpretq_f32_u32(vshll_n_u16(bits, 16)); }
inline float32x4_t narrow(float32x4_t value, float) { return value; }
inline uint16x4_t narrow(float32x4_t value, Float16) { return vreinterpret_u16_f16(vcvt_f16_f32(value)); }
/// Of no NaN but kSumNan, which stays one.
inline uint16x4_t narrow(float32x4_t value, BFloat16) {
  const uint32x4_t bits = vreinterpretq_u32_f32(value);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  return vshrn_n_u32(vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff))), 16);
}

inline float32x4_t select(uint32x4_t mask, float32x4_t yes, float32x4_t no) { return vbslq_f32(mask, yes, no); }
inline uint16x4_t select(uint32x4_t mask, uint16x4_t yes, uint16x4_t no) { return vbsl_u16(vmovn_u32(mask), yes, no); }

template <class T>
inline float32x4_t added(const T* left, const T* right) {
  return vaddq_f32(wide(load(left), T{}), wide(load(right), T{}));
}
inline uint32x4_t isNumber(float32x4_t x) { return vceqq_f32(x, x); }
inline float32x4_t withSumNan(float32x4_t sum) {
  return select(isNumber(sum), sum, vreinterpretq_f32_u32(vdupq_n_u32(kSumNan)));
}

template <class T>
void sum(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const float32x4_t low = added(left + i, right + i), high = added(left + i + kLanes, right + i + kLanes);
    store(to + i, narrow(withSumNan(low), T{}));
    store(to + i + kLanes, narrow(withSumNan(high), T{}));
  }
  for (; i < count; ++i) to[i] = combine<T, ReduceOp::Sum>(left[i], right[i]);
}

template <class T, ReduceOp kOp>
void extreme(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<T*>(out);
  const auto *left = static_cast<const T*>(a), *right = static_cast<const T*>(b);
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const auto ours = load(left + i), theirs = load(right + i);
    const float32x4_t x = wide(ours, T{}), y = wide(theirs, T{});
    const uint32x4_t beats = kOp == ReduceOp::Max ? vcgtq_f32(x, y) : vcltq_f32(x, y);
    store(to + i, select(vornq_u32(beats, isNumber(x)), ours, theirs));
  }
  for (; i < count; ++i) to[i] = combine<T, kOp>(left[i], right[i]);
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

/// Part of every 64-bit ARM.
bool runsHere() { return true; }

}  // namespace
}  // namespace neon

const KernelSet kNeon = {"NEON", neon::runsHere, neon::find};

}  // namespace espalier::transport
#endif
