#include "engine/simd_scalar.h"

#define KERNELS_NAME "scalar"
#define KERNELS_SET kScalarKernels
#include "engine/kernels_body.inc"
