#include "transport/reduce/kernels.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "transport/reduce/half.h"
#include "transport/reduce/scalar.h"

namespace espalier::transport {
namespace {

using Kernel = void (*)(void* out, const void* a, const void* b, size_t count);

struct SumOf {
  template <class T>
  [[gnu::always_inline]] static T combine(T a, T b) {
    if constexpr (std::is_same_v<T, Float16>) {
      return narrowToFloat16(widen(a) + widen(b));
    } else if constexpr (std::is_same_v<T, BFloat16>) {
      return narrowToBFloat16(widen(a) + widen(b));
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));  // wraps, never undefined
    } else {
      return a + b;
    }
  }
};

/// `Less(a, b)` false means: take a. A NaN on either side wins.
template <bool kMax>
struct Extreme {
  template <class T>
  [[gnu::always_inline]] static T combine(T a, T b) {
    if constexpr (std::is_same_v<T, Float16> || std::is_same_v<T, BFloat16>) {
      const float wideA = widen(a), wideB = widen(b);
      const bool takeA = (kMax ? wideA > wideB : wideA < wideB) || wideA != wideA;
      return {takeA ? a.bits : b.bits};
    } else {
      const bool takeA = (kMax ? a > b : a < b) || a != a;
      return takeA ? a : b;
    }
  }
};
using MaxOf = Extreme<true>;
using MinOf = Extreme<false>;

#define ESPALIER_LOOPS baseline
#define ESPALIER_TARGET
#include "transport/reduce/loops.inc"
#undef ESPALIER_LOOPS
#undef ESPALIER_TARGET

#if defined(__x86_64__)
#define ESPALIER_LOOPS avx2
#define ESPALIER_TARGET __attribute__((target("avx2")))
#include "transport/reduce/loops.inc"
#undef ESPALIER_LOOPS
#undef ESPALIER_TARGET
#endif

Kernel kernelFor(DataType type, ReduceOp op) {
  if (type == DataType::Float16 || type == DataType::BFloat16) {
    if (const Kernel own = halfKernel(type, op)) return own;
  }
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return avx2::kernelFor(type, op);
#endif
  return baseline::kernelFor(type, op);
}

/// Two temporaries of this size per level of the tree stay within the first-level cache.
constexpr size_t kBlockBytes = 2048;
constexpr int kLevels = 6;

struct Tree {
  Kernel kernel;
  const void* const* inputs;
  size_t elementBytes;
  alignas(64) std::byte temporaries[kLevels][2][kBlockBytes];

  /// Reduces inputs [low, high) at `offset` and says where the result lies; `target` null: in a temporary.
  const void* reduce(int low, int high, int level, int side, size_t offset, size_t bytes, void* target) {
    if (high - low == 1) return static_cast<const std::byte*>(inputs[low]) + offset;
    const int half = static_cast<int>(std::bit_ceil(static_cast<unsigned>(high - low)) / 2);
    const void* left = reduce(low, low + half, level + 1, 0, offset, bytes, nullptr);
    const void* right = reduce(low + half, high, level + 1, 1, offset, bytes, nullptr);
    void* to = target != nullptr ? target : temporaries[level][side];
    kernel(to, left, right, bytes / elementBytes);
    return to;
  }
};

}  // namespace

size_t elementBytes(DataType type) {
  switch (type) {
    case DataType::Int8:
    case DataType::Uint8: return 1;
    case DataType::Float16:
    case DataType::BFloat16:
    case DataType::Int16:
    case DataType::Uint16: return 2;
    case DataType::Float32:
    case DataType::Int32:
    case DataType::Uint32: return 4;
    case DataType::Int64:
    case DataType::Uint64:
    case DataType::Complex64: return 8;
  }
  return 0;
}

bool canReduce(DataType type, ReduceOp op) {
  return elementBytes(type) != 0 && (type != DataType::Complex64 || op == ReduceOp::Sum);
}

void reducePair(void* out, const void* a, const void* b, size_t count, DataType type, ReduceOp op) {
  if (type == DataType::Complex64) {  // a sum of complex numbers is two sums of floats
    type = DataType::Float32;
    count *= 2;
  }
  kernelFor(type, op)(out, a, b, count);
}

void reduceTree(void* out, const void* const* inputs, int inputCount, size_t count, DataType type, ReduceOp op) {
  if (inputCount == 1) {
    if (out != inputs[0]) std::memcpy(out, inputs[0], count * elementBytes(type));
    return;
  }
  if (inputCount == 2) return reducePair(out, inputs[0], inputs[1], count, type, op);
  const size_t totalBytes = count * elementBytes(type);
  const bool complex = type == DataType::Complex64;
  Tree tree;
  tree.kernel = kernelFor(complex ? DataType::Float32 : type, op);
  tree.inputs = inputs;
  tree.elementBytes = complex ? sizeof(float) : elementBytes(type);
  for (size_t offset = 0; offset < totalBytes; offset += kBlockBytes) {
    const size_t bytes = std::min(kBlockBytes, totalBytes - offset);
    tree.reduce(0, inputCount, 0, 0, offset, bytes, static_cast<std::byte*>(out) + offset);
  }
}

}  // namespace espalier::transport
