#include "engine/kernels.h"

#include "engine/kernel_sets.h"

namespace espalier::engine {

std::vector<const Kernels*> availableKernels() {
  std::vector<const Kernels*> sets = {&kScalarKernels};
#if defined(__x86_64__)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx2) sets.push_back(&kAvx2Kernels);
  if (avx2 && avx512) sets.push_back(&kAvx512Kernels);
#elif defined(__aarch64__)
  sets.push_back(&kNeonKernels);
#endif
  return sets;
}

const Kernels& bestKernels() { return *availableKernels().back(); }

}  // namespace espalier::engine
