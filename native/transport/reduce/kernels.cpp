#include "transport/reduce/kernels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "transport/reduce/kernel_sets.h"
#include "transport/reduce/modes.h"

namespace espalier::transport {
namespace {

constexpr size_t kTypes = 1 + static_cast<size_t>(DataType::Complex64);
constexpr size_t kOps = 1 + static_cast<size_t>(ReduceOp::Min);

/// Sums of fp32 take 13 to 20 % longer with 512 bits than with 256 past the caches (64 MiB on Zen 4), and no less time
/// within them.
bool isSlower(const KernelSet* set, DataType type, ReduceOp op) {
#if defined(__x86_64__)
  return set == &kAvx512 && type == DataType::Float32 && op == ReduceOp::Sum;
#else
  return false;
#endif
}

/// The preferred kernels of this machine.
struct Chosen {
  Kernel kernels[kTypes][kOps] = {};

  [[gnu::cold, gnu::noinline]] Chosen() {
    for (const KernelSet* set : kKernelSets) {
      if (set->runsHere()) takeMissing(set);
    }
  }

  void takeMissing(const KernelSet* set) {
    for (size_t i = 0; i < kTypes * kOps; ++i) {
      Kernel& kernel = kernels[i / kOps][i % kOps];
      const auto type = static_cast<DataType>(i / kOps);
      const auto op = static_cast<ReduceOp>(i % kOps);
      if (kernel == nullptr && !isSlower(set, type, op)) kernel = set->find(type, op);
    }
  }
};

inline Kernel kernelFor(DataType type, ReduceOp op) {
  static const Chosen chosen;
  return chosen.kernels[static_cast<size_t>(type)][static_cast<size_t>(op)];
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

void reducePair(void* out, const void* a, const void* b, size_t count, DataType type, ReduceOp op) {
  if (type == DataType::Complex64) {  // a sum of complex numbers is two sums of floats
    type = DataType::Float32;
    count *= 2;
  }
  const OrdinaryModes modes;
  kernelFor(type, op)(out, a, b, count);
}

void reduceTree(void* out, const void* const* inputs, int inputCount, size_t count, DataType type, ReduceOp op) {
  if (inputCount == 1) {
    if (out != inputs[0] && count > 0) std::memcpy(out, inputs[0], count * elementBytes(type));
    return;
  }
  if (inputCount == 2) return reducePair(out, inputs[0], inputs[1], count, type, op);
  const size_t totalBytes = count * elementBytes(type);
  const bool complex = type == DataType::Complex64;
  const OrdinaryModes modes;
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
