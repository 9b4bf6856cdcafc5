#include "bench/perf/cell.h"

#include "transport/reduce/kernels.h"

namespace espalier::perf {

const char* nameOf(Collective collective) {
  switch (collective) {
    case Collective::AllReduce: return "all-reduce";
    case Collective::AllGather: return "all-gather";
    case Collective::ReduceScatter: return "reduce-scatter";
    case Collective::Broadcast: return "broadcast";
    case Collective::Send: return "send";
    case Collective::Barrier: return "barrier";
  }
  return "?";
}

const char* nameOf(LinkKind link) {
  return transport::linkName(link);
}

const char* nameOf(Buffers buffers) { return buffers == Buffers::Own ? "own" : "any"; }

const char* nameOf(DataType type) {
  return type == DataType::Float32 ? "fp32" : type == DataType::BFloat16 ? "bf16" : "fp16";
}

size_t elementBytes(const Cell& cell) { return transport::elementBytes(cell.type); }

size_t elementCount(const Cell& cell) {
  const bool inBlocks = cell.collective == Collective::AllGather || cell.collective == Collective::ReduceScatter;
  return cell.bytes / elementBytes(cell) / static_cast<size_t>(inBlocks ? cell.ranks : 1);
}

size_t inputBytes(const Cell& cell) {
  const size_t bytes = elementCount(cell) * elementBytes(cell);
  return cell.collective == Collective::ReduceScatter ? bytes * static_cast<size_t>(cell.ranks) : bytes;
}

size_t outputBytes(const Cell& cell) {
  const size_t bytes = elementCount(cell) * elementBytes(cell);
  return cell.collective == Collective::AllGather ? bytes * static_cast<size_t>(cell.ranks) : bytes;
}

int callsPerUnit(const Cell& cell) {
  return cell.collective == Collective::Broadcast ? cell.ranks : cell.collective == Collective::Send ? 2 : 1;
}

double busGBps(const Cell& cell, double medianUs) {
  if (medianUs <= 0) return 0;
  const double ranks = cell.ranks, algorithmGBps = static_cast<double>(cell.bytes) / medianUs / 1e3;
  switch (cell.collective) {
    case Collective::AllReduce: return algorithmGBps * 2 * (ranks - 1) / ranks;
    case Collective::AllGather:
    case Collective::ReduceScatter: return algorithmGBps * (ranks - 1) / ranks;
    default: return algorithmGBps;
  }
}

}  // namespace espalier::perf
