#pragma once
#include "transport/group.h"
#include "transport/reduce/scalar.h"

namespace espalier::transport {

/// One element as scalar.h defines it: what is left over when a vector does not fit any more.
template <class Half>
inline Half combineHalf(Half a, Half b, ReduceOp op);

template <>
inline Float16 combineHalf(Float16 a, Float16 b, ReduceOp op) {
  const float x = widen(a), y = widen(b);
  if (op == ReduceOp::Sum) return narrowToFloat16(x + y);
  return ((op == ReduceOp::Max ? x > y : x < y) || x != x) ? a : b;
}

template <>
inline BFloat16 combineHalf(BFloat16 a, BFloat16 b, ReduceOp op) {
  const float x = widen(a), y = widen(b);
  if (op == ReduceOp::Sum) return narrowToBFloat16(x + y);
  return ((op == ReduceOp::Max ? x > y : x < y) || x != x) ? a : b;
}

template <class Half, ReduceOp kOp>
inline void combineTail(Half* out, const Half* a, const Half* b, size_t from, size_t count) {
  for (size_t i = from; i < count; ++i) out[i] = combineHalf(a[i], b[i], kOp);
}

}  // namespace espalier::transport
