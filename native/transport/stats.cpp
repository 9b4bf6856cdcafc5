#include "transport/stats.h"

#include <algorithm>
#include <bit>

namespace espalier::transport {

size_t histogramBucket(uint64_t ns) {
  constexpr uint64_t kFirstBucketNs = 250;
  constexpr size_t kBuckets = std::tuple_size_v<decltype(CollectiveStats::histogram)>;
  const auto bucket = static_cast<size_t>(std::bit_width(ns / kFirstBucketNs));
  // width 1 is [1, 2) units: bucket 0, which also takes what is shorter.
  return std::min(bucket > 0 ? bucket - 1 : 0, kBuckets - 1);
}

void CallCounters::add(Operation operation, uint64_t bytes, std::chrono::nanoseconds took) {
  Entry& entry = entries_[static_cast<size_t>(operation)];
  const auto ns = static_cast<uint64_t>(took.count());
  // One writer: plain load and store are enough, and cheaper than a locked addition.
  const auto raise = [](std::atomic<uint64_t>& counter, uint64_t by) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  };
  raise(entry.count, 1);
  raise(entry.bytes, bytes);
  raise(entry.totalNs, ns);
  raise(entry.histogram[histogramBucket(ns)], 1);
  if (ns > entry.maxNs.load(std::memory_order_relaxed)) entry.maxNs.store(ns, std::memory_order_relaxed);
}

std::vector<CollectiveStats> CallCounters::read() const {
  std::vector<CollectiveStats> all;
  for (int i = 0; i < kOperationCount; ++i) {
    const Entry& entry = entries_[i];
    CollectiveStats stats;
    stats.name = operationName(static_cast<Operation>(i));
    stats.count = entry.count.load(std::memory_order_relaxed);
    stats.bytes = entry.bytes.load(std::memory_order_relaxed);
    stats.totalUs = static_cast<double>(entry.totalNs.load(std::memory_order_relaxed)) / 1e3;
    stats.maxUs = static_cast<double>(entry.maxNs.load(std::memory_order_relaxed)) / 1e3;
    for (size_t bucket = 0; bucket < stats.histogram.size(); ++bucket) {
      stats.histogram[bucket] = entry.histogram[bucket].load(std::memory_order_relaxed);
    }
    if (stats.count > 0) all.push_back(std::move(stats));
  }
  return all;
}

}  // namespace espalier::transport
