#pragma once
#include <cstddef>

#include "transport/group.h"

namespace espalier::transport {

/// out[i] = a[i] op b[i]. `out` may be `a` or `b`; nothing need be aligned.
using Kernel = void (*)(void* out, const void* a, const void* b, size_t count);

/// The kernels of one instruction set. All sets give the bits of combine.h.
struct KernelSet {
  const char* name;
  /// Whether this processor can run them, and the system saves their registers.
  bool (*runsHere)();
  /// Null: the set has none for this; one further down the list has.
  Kernel (*find)(DataType type, ReduceOp op);
};

// kKernelSets: in order of preference. The last set runs everywhere and has all but complex numbers.
extern const KernelSet kPlain;
#if defined(__x86_64__)
extern const KernelSet kAvx2, kAvx512;
inline constexpr const KernelSet* kKernelSets[] = {&kAvx512, &kAvx2, &kPlain};
#elif defined(__aarch64__)
extern const KernelSet kNeon;
inline constexpr const KernelSet* kKernelSets[] = {&kNeon, &kPlain};
#else
inline constexpr const KernelSet* kKernelSets[] = {&kPlain};
#endif

}  // namespace espalier::transport
