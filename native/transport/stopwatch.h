#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>

namespace espalier::transport {

/// Measures durations by the processor's own counter, where the system vouches for it: to read the clock twice takes a tenth
/// of a short call on shared memory. For statistics; deadlines go by the clock.
class Stopwatch {
 public:
  Stopwatch();
  uint64_t read() const { return usesCounter_ ? counter() : clock(); }
  /// Since read() gave `reading`. 0 before learnRate().
  std::chrono::nanoseconds since(uint64_t reading) const {
    // A virtual machine that moves to another host may find its counter put back.
    const auto counted = std::max<int64_t>(0, static_cast<int64_t>(read() - reading));
    return std::chrono::nanoseconds(static_cast<int64_t>(static_cast<Wide>(counted) * nsPerCount_ >> kFractionBits));
  }
  /// Learns how fast the counter runs from the time since this was made: half a millisecond tells it to a thousandth.
  void learnRate();

 private:
  __extension__ using Wide = unsigned __int128;
  static constexpr int kFractionBits = 32;

  static uint64_t clock() { return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()); }
  static uint64_t counter() {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    asm volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return clock();
#endif
  }

  struct Moment {
    uint64_t counted, ns;
  };
  Moment now() const;

  const bool usesCounter_;
  const Moment madeAt_;
  uint64_t nsPerCount_ = 0;  ///< times 2^kFractionBits
};

}  // namespace espalier::transport
