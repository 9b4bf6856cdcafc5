#pragma once
#include <optional>

#include "mpi/abi.h"

namespace espalier::mpi {

struct Reduction {
  transport::DataType type;
  transport::ReduceOp op;
};

/// What the transport's own kernels do for this type and operation, if they do. For MLX's user functions on two-byte
/// elements this is found out by trying: a function that gives the sums, maxima or minima of fp16 or bf16 for numbers
/// that tell all six apart is taken for just that.
std::optional<Reduction> nativeReduction(Datatype& type, Operation& operation);

/// Everything else: gathers all ranks' data and applies the operation to it on every rank, in the balanced tree of
/// group.h, so all get the same bits. `in` may be `out`. Throws std::runtime_error when the operation is not defined on the type.
Status reduceGathered(transport::Group& group, const void* in, void* out, size_t count, Datatype& type,
                      Operation& operation);

}  // namespace espalier::mpi
