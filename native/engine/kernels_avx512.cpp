#if defined(__x86_64__)
#include "engine/simd_avx512.h"

#define KERNELS_NAME "avx512"
#define KERNELS_SET kAvx512Kernels
#include "engine/kernels_body.inc"
#endif
