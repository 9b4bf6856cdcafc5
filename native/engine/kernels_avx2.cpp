#if defined(__x86_64__)
#include "engine/simd_avx2.h"

#define KERNELS_NAME "avx2"
#define KERNELS_SET kAvx2Kernels
#include "engine/kernels_body.inc"
#endif
