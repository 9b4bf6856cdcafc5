#pragma once
#include <array>
#include <atomic>
#include <chrono>

#include "transport/link.h"

namespace espalier::transport {

/// The bucket of CollectiveStats::histogram for a call that took `ns`.
size_t histogramBucket(uint64_t ns);

/// Counts calls. Written by the one thread that uses the group, read by any.
class CallCounters {
 public:
  void add(Operation operation, uint64_t bytes, std::chrono::nanoseconds took);
  std::vector<CollectiveStats> read() const;

 private:
  struct Entry {
    std::atomic<uint64_t> count{0}, bytes{0}, totalNs{0}, maxNs{0};
    std::array<std::atomic<uint64_t>, std::tuple_size_v<decltype(CollectiveStats::histogram)>> histogram{};
  };
  std::array<Entry, kOperationCount> entries_;
};

}  // namespace espalier::transport
