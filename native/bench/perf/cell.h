#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "transport/group.h"

namespace espalier::perf {

using transport::DataType;
using transport::LinkKind;

constexpr int kMaxRanks = 16;

enum class Collective : uint8_t { AllReduce, AllGather, ReduceScatter, Broadcast, Send, Barrier };
/// Where the data lies: in memory from Group::allocate (for a floor: in memory that both ranks share), or anywhere.
enum class Buffers : uint8_t { Own, Any };

/// One thing to measure. Fixed layout: it travels from the conductor to the ranks.
struct Cell {
  Collective collective = Collective::AllReduce;
  LinkKind link = LinkKind::SharedMemory;
  Buffers buffers = Buffers::Any;
  DataType type = DataType::Float32;
  int32_t ranks = 2;
  uint32_t inPlace = 0;
  /// Of the larger buffer of one rank, as nccl-tests count: what an all-gather gives, what a reduce-scatter takes.
  uint64_t bytes = 0;
};

const char* nameOf(Collective collective);
const char* nameOf(LinkKind link);
const char* nameOf(Buffers buffers);
const char* nameOf(DataType type);

size_t elementBytes(const Cell& cell);
/// Elements that the call is given: of one block for all-gather and reduce-scatter, else of the whole buffer.
size_t elementCount(const Cell& cell);
size_t inputBytes(const Cell& cell);
size_t outputBytes(const Cell& cell);
/// Calls in one timed unit: a send goes there and back, a broadcast is called once for every root in turn.
int callsPerUnit(const Cell& cell);
/// Bus bandwidth in GB/s as nccl-tests define it: 2(n-1)/n of the bytes for all-reduce, (n-1)/n for all-gather and
/// reduce-scatter, all of them for broadcast and send.
double busGBps(const Cell& cell, double medianUs);

}  // namespace espalier::perf
