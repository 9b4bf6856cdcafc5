#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace espalier::transport {

/// Copies into memory that another core reads next. To write a line that the other core's caches still hold costs
/// little while the two share a cache, and most of an exchange while they do not: 16 KiB take 0.4 µs here, or 2 to 5,
/// and a virtual machine's cores move between the two every few seconds. Past the caches it is 0.2 to 0.4 always, but
/// then the reader pays for memory (1.2 µs instead of 0.5, or of 1.4). So now and then both ways are timed. With the
/// cores far apart an exchange of 16 KiB so takes 2 µs instead of 7.
class StagingCopy {
 public:
  /// What is stored after it is seen after it.
  void copy(void* to, const void* from, size_t bytes);
  bool goesPastCaches() const { return pastCaches_; }

 private:
  enum Way { Cached, PastCaches };
  void copyBy(Way way, void* to, const void* from, size_t bytes);
  void measure(Way way, void* to, const void* from, size_t bytes);

  uint32_t copies_ = 0;
  bool pastCaches_ = false;
  /// Of the last two measurements: one may have been interrupted, or have met pages that were never used.
  std::array<std::array<double, 2>, 2> nsPerLine_{};
};

}  // namespace espalier::transport
