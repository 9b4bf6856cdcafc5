#include "transport/reduce/combine.h"
#include "transport/reduce/kernel_sets.h"

namespace espalier::transport {
namespace plain {
namespace {

#define ESPALIER_TARGET
#include "transport/reduce/loops.inc"
#undef ESPALIER_TARGET

Kernel find(DataType type, ReduceOp op) {
  switch (type) {
    case DataType::Float32: return pickLoop<float>(op);
    case DataType::Float16: return pickLoop<Float16>(op);
    case DataType::BFloat16: return pickLoop<BFloat16>(op);
    default: return integerLoop(type, op);
  }
}

bool runsHere() { return true; }

}  // namespace
}  // namespace plain

const KernelSet kPlain = {"plain loops", plain::runsHere, plain::find};

}  // namespace espalier::transport
