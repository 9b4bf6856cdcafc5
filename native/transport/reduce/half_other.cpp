#if !defined(__x86_64__)
#include "transport/reduce/half.h"
#include "transport/reduce/half_tail.h"

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace espalier::transport {

#if defined(__aarch64__)
namespace {

void sumNeon(void* out, const void* a, const void* b, size_t count) {
  auto* to = static_cast<Float16*>(out);
  const auto *left = static_cast<const Float16*>(a), *right = static_cast<const Float16*>(b);
  const auto wide = [](const Float16* from) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(reinterpret_cast<const uint16_t*>(from))));
  };
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    const float16x4_t sum = vcvt_f16_f32(vaddq_f32(wide(left + i), wide(right + i)));
    vst1_u16(reinterpret_cast<uint16_t*>(to + i), vreinterpret_u16_f16(sum));
  }
  combineTail<Float16, ReduceOp::Sum>(to, left, right, i, count);
}

}  // namespace
#endif

/// On NEON only the sum of fp16: compilers vectorise the rest themselves.
HalfKernel halfKernel(DataType type, ReduceOp op) {
#if defined(__aarch64__)
  if (type == DataType::Float16 && op == ReduceOp::Sum) return sumNeon;
#endif
  return nullptr;
}

}  // namespace espalier::transport
#endif
