#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "transport/group.h"

namespace espalier::transport {

/// Bytes of one element; 0: there is no such type.
inline size_t elementBytes(DataType type) {
  static constexpr uint8_t kBytes[] = {4, 2, 2, 1, 2, 4, 8, 1, 2, 4, 8, 8};  // in the order of DataType
  static_assert(std::size(kBytes) == 1 + static_cast<size_t>(DataType::Complex64));
  return type <= DataType::Complex64 ? kBytes[static_cast<size_t>(type)] : 0;
}
/// Whether `op` is defined on `type` (complex numbers have no order).
inline bool canReduce(DataType type, ReduceOp op) {
  return elementBytes(type) != 0 && (type != DataType::Complex64 || op == ReduceOp::Sum);
}

/// out[i] = a[i] op b[i]. `out` may be `a` or `b`. 16-bit floats are computed in fp32 and rounded to nearest even;
/// integers wrap; Max and Min of floats hand on a NaN as it is, sums yield one and the same. The bits do not depend on the
/// machine.
void reducePair(void* out, const void* a, const void* b, size_t count, DataType type, ReduceOp op);

/// Reduces `inputCount` (1 to 64) inputs in the order of a balanced binary tree; the left half holds the largest
/// power of two below the count. `out` may be one of the inputs.
void reduceTree(void* out, const void* const* inputs, int inputCount, size_t count, DataType type, ReduceOp op);

}  // namespace espalier::transport
