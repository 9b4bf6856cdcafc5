#include "transport/stats.h"

namespace espalier::transport {

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
    if (stats.count > 0) all.push_back(std::move(stats));
  }
  return all;
}

}  // namespace espalier::transport
