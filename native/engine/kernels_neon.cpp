#if defined(__aarch64__)
#include "engine/simd_neon.h"

#define KERNELS_NAME "neon"
#define KERNELS_SET kNeonKernels
#include "engine/kernels_body.inc"
#endif
