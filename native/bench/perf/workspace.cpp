#include "bench/perf/workspace.h"

#include <cmath>
#include <cstring>

#include "transport/reduce/scalar.h"

namespace espalier::perf {
namespace {

constexpr size_t kPageBytes = 4096, kLineBytes = 64;

/// Small whole numbers: their sums over 16 ranks are exact in every type, so each order of summing gives these bits.
float inputOf(int rank, size_t index) { return static_cast<float>(rank + 1) + static_cast<float>(index & 7); }

void store(void* data, size_t index, float value, DataType type) {
  if (type == DataType::Float32) static_cast<float*>(data)[index] = value;
  if (type == DataType::Float16) static_cast<transport::Float16*>(data)[index] = transport::narrowToFloat16(value);
  if (type == DataType::BFloat16) static_cast<transport::BFloat16*>(data)[index] = transport::narrowToBFloat16(value);
}

float load(const void* data, size_t index, DataType type) {
  if (type == DataType::Float32) return static_cast<const float*>(data)[index];
  if (type == DataType::Float16) return transport::widen(static_cast<const transport::Float16*>(data)[index]);
  return transport::widen(static_cast<const transport::BFloat16*>(data)[index]);
}

float expected(const Cell& cell, int rank, size_t index) {
  const auto ranks = static_cast<float>(cell.ranks);
  const size_t count = elementCount(cell);
  const auto sum = [&](size_t at) { return ranks * (ranks + 1) / 2 + ranks * static_cast<float>(at & 7); };
  switch (cell.collective) {
    case Collective::AllReduce: return sum(index);
    case Collective::ReduceScatter: return sum(static_cast<size_t>(rank) * count + index);
    case Collective::AllGather: return inputOf(static_cast<int>(index / count), index % count);
    case Collective::Send: return inputOf(1 - rank, index);
    // Roots come in turn from the last to the first: the first call gives all ranks the last one's data.
    case Collective::Broadcast: return inputOf(cell.ranks - 1, index);
    case Collective::Barrier: return 0;
  }
  return 0;
}

}  // namespace

std::string Workspace::take(Library& library, Buffers kind, Role role, size_t bytes, Buffer& buffer) {
  if (buffer.bytes >= bytes && buffer.data != nullptr) return "";
  if (buffer.isOurs) std::free(buffer.data);
  buffer = {};
  const size_t whole = (bytes / kPageBytes + 1) * kPageBytes;
  if (kind == Buffers::Own) buffer.data = library.allocate(whole, role);
  if (buffer.data == nullptr) {
    buffer.data = std::aligned_alloc(kPageBytes, whole);
    buffer.isOurs = true;
  }
  if (buffer.data == nullptr) return "no memory for " + std::to_string(whole) + " bytes";
  buffer.bytes = whole;
  std::memset(buffer.data, 0, whole);
  return "";
}

std::string Workspace::prepare(Library& library, const Cell& cell) {
  const std::string why = take(library, cell.buffers, Role::Input, inputBytes(cell), in_);
  if (!why.empty() || cell.inPlace != 0) return why;
  return take(library, cell.buffers, Role::Output, outputBytes(cell), out_);
}

void Workspace::release() {
  for (Buffer* buffer : {&in_, &out_}) {
    if (!buffer->isOurs) continue;
    std::free(buffer->data);
    *buffer = {};
  }
}

void Workspace::fill(const Cell& cell, int rank) {
  const size_t size = elementBytes(cell);
  for (size_t i = 0; i < inputBytes(cell) / size; ++i) store(in_.data, i, inputOf(rank, i), cell.type);
  if (cell.inPlace != 0) return;
  if (cell.collective == Collective::Broadcast) {
    std::memcpy(out_.data, in_.data, outputBytes(cell));
  } else {
    std::memset(out_.data, 0xff, outputBytes(cell));  // not a number in every type
  }
}

std::string Workspace::verify(const Cell& cell, int rank) const {
  if (cell.collective == Collective::Barrier || (cell.collective == Collective::Send && rank > 1)) return "";
  const void* data = cell.inPlace != 0 ? in_.data : out_.data;
  for (size_t i = 0; i < outputBytes(cell) / elementBytes(cell); ++i) {
    const float value = load(data, i, cell.type), right = expected(cell, rank, i);
    if (value == right) continue;
    return std::string("wrong result: element ") + std::to_string(i) + " of " + nameOf(cell.collective) + " on rank " +
           std::to_string(rank) + " is " + std::to_string(value) + ", must be " + std::to_string(right);
  }
  return "";
}

void Workspace::touch(const Cell& cell) {
  const bool intoOut = cell.collective == Collective::Broadcast;
  auto* bytes = static_cast<volatile char*>(intoOut ? out_.data : in_.data);
  for (size_t at = 0; at < inputBytes(cell); at += kLineBytes) bytes[at] = bytes[at];
}

void Workspace::clear(const Cell& cell) { std::memset(in_.data, 0, inputBytes(cell)); }

}  // namespace espalier::perf
