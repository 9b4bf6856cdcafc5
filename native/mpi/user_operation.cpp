#include "mpi/user_operation.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "transport/reduce/kernels.h"
#include "transport/reduce/modes.h"

namespace espalier::mpi {
namespace {

using transport::DataType;
using transport::ReduceOp;

constexpr uint8_t kUntried = 0;
constexpr uint8_t kUnknown = 1;
constexpr uint8_t kFirstFound = 2;  ///< plus the index into kCandidates

constexpr Reduction kCandidates[] = {
    {DataType::BFloat16, ReduceOp::Sum}, {DataType::BFloat16, ReduceOp::Max}, {DataType::BFloat16, ReduceOp::Min},
    {DataType::Float16, ReduceOp::Sum},  {DataType::Float16, ReduceOp::Max},  {DataType::Float16, ReduceOp::Min},
};

// Read as fp16 or as bf16, each of the first twelve pairs is of ordinary numbers, and so is each sum. Among those are ties
// of both formats, which a function that rounds otherwise than to nearest even would give away. Both formats put ordinary
// numbers into one order, so maxima and minima differ only in the last eight pairs: their large numbers of bf16 are none of fp16.
constexpr uint16_t kLeft[] = {0x3c00, 0x3c01, 0x3f80, 0x3f81, 0xbc00, 0x3555, 0x4248, 0x4049, 0xc248, 0x3c01,
                              0x2e66, 0xb555, 0xfc80, 0x3c00, 0x7c80, 0x3c00, 0x7c80, 0x7d00, 0xfc80, 0xfd00};
constexpr uint16_t kRight[] = {0x1000, 0x1000, 0x3b80, 0x3b80, 0x3800, 0xbeef, 0x4049, 0xc248, 0x3eab, 0xbc00,
                               0x4500, 0xb111, 0x3c00, 0xfc80, 0x3c00, 0x7c80, 0x7d00, 0x7c80, 0xfd00, 0xfc80};
constexpr int kProbes = std::size(kLeft);
constexpr int kProbesOfFloat16 = 12;

/// All ranks' parts of a large array are gathered at most this many bytes a rank at a time.
constexpr size_t kGatherBytes = 1 << 20;

uint8_t tryOut(Datatype& type, UserFunction* user) {
  uint16_t in[kProbes], got[kProbes], expected[kProbes];
  std::copy_n(kLeft, kProbes, got);
  std::copy_n(kRight, kProbes, in);
  int count = kProbes;
  Datatype* handle = &type;
  const transport::OrdinaryModes modes;
  user(in, got, &count, &handle);
  for (size_t i = 0; i < std::size(kCandidates); ++i) {
    const int probes = kCandidates[i].type == DataType::BFloat16 ? kProbes : kProbesOfFloat16;
    transport::reducePair(expected, kLeft, kRight, probes, kCandidates[i].type, kCandidates[i].op);
    if (std::equal(expected, expected + probes, got)) return static_cast<uint8_t>(kFirstFound + i);
  }
  return kUnknown;
}

void reduceDoubles(ReduceOp op, const void* in, void* inout, int count) {
  const auto* from = static_cast<const double*>(in);
  auto* to = static_cast<double*>(inout);
  for (int i = 0; i < count; ++i) {
    switch (op) {
      case ReduceOp::Sum: to[i] += from[i]; break;
      case ReduceOp::Max: to[i] = to[i] > from[i] || to[i] != to[i] ? to[i] : from[i]; break;
      case ReduceOp::Min: to[i] = to[i] < from[i] || to[i] != to[i] ? to[i] : from[i]; break;
    }
  }
}

}  // namespace

std::optional<Reduction> nativeReduction(Datatype& type, Operation& operation) {
  if (operation.user == nullptr) {
    // Truth values are bytes of 0 and 1: their sum is "any", as in MLX's own backends.
    const ReduceOp onBool = operation.op == ReduceOp::Min ? ReduceOp::Min : ReduceOp::Max;
    if (type.arithmetic == Arithmetic::Bool) return Reduction{DataType::Uint8, onBool};
    if (type.arithmetic != Arithmetic::Transport || !transport::canReduce(type.type, operation.op)) return {};
    return Reduction{type.type, operation.op};
  }
  if (type.bytes != 2 || type.arithmetic != Arithmetic::None) return {};
  uint8_t recognised = operation.recognised;
  if (recognised == kUntried) operation.recognised = recognised = tryOut(type, operation.user);
  if (recognised == kUnknown) return {};
  return kCandidates[recognised - kFirstFound];
}

Status reduceGathered(transport::Group& group, const void* in, void* out, size_t count, Datatype& type,
                      Operation& operation) {
  if (operation.user == nullptr && type.arithmetic != Arithmetic::Float64) {
    throw std::runtime_error(std::string("[espalier] InvalidArgument: this reduction is not defined on ") + type.name);
  }
  const auto combine = [&](const std::byte* from, std::byte* into, size_t elements) {
    int length = static_cast<int>(elements);
    Datatype* handle = &type;
    if (operation.user == nullptr) return reduceDoubles(operation.op, from, into, length);
    operation.user(const_cast<std::byte*>(from), into, &length, &handle);
  };
  const size_t most = std::max<size_t>(1, std::min(count, kGatherBytes / type.bytes));
  std::vector<std::byte> all(most * type.bytes * static_cast<size_t>(group.size()));
  size_t done = 0;
  do {
    const size_t elements = std::min(most, count - done);
    const size_t bytes = elements * type.bytes;
    const std::byte* from = static_cast<const std::byte*>(in) + done * type.bytes;
    const Status status = group.allGather(from, all.data(), bytes, DataType::Uint8);
    if (!status.ok()) return status;
    if (elements == 0) break;
    const auto reduce = [&](auto&& self, int low, int high) -> void {
      if (high - low < 2) return;
      const int middle = low + static_cast<int>(std::bit_ceil(static_cast<unsigned>(high - low)) / 2);
      self(self, low, middle);
      self(self, middle, high);
      combine(all.data() + middle * bytes, all.data() + low * bytes, elements);
    };
    const transport::OrdinaryModes modes;
    reduce(reduce, 0, group.size());
    std::memcpy(static_cast<std::byte*>(out) + done * type.bytes, all.data(), bytes);
    done += elements;
  } while (done < count);
  return Status::success();
}

}  // namespace espalier::mpi
