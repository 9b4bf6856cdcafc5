#pragma once
#include <cstddef>

#include "transport/group.h"

namespace espalier::transport {

using HalfKernel = void (*)(void* out, const void* a, const void* b, size_t count);

/// A kernel for fp16 or bf16 in vector code of its own, which compilers do not find by themselves, with the bits of the
/// plain code in scalar.h. Null: not for this machine, type or reduction.
HalfKernel halfKernel(DataType type, ReduceOp op);

}  // namespace espalier::transport
