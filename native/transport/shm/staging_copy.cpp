#include "transport/shm/staging_copy.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "transport/shm/stream.h"

namespace espalier::transport {
namespace {

/// Below, both ways cost much the same.
constexpr size_t kLeastStreamedBytes = 2 * 1024;
/// Below, reading the clock is too much of what is measured.
constexpr size_t kLeastMeasuredBytes = 4 * 1024;
/// One copy in so many goes the way that may be the worse one: below the 99th percentile.
constexpr uint32_t kCopiesPerMeasurement = 128;
/// 1 to 5 ns where cores share a cache, 8 to 17 where they do not.
constexpr double kDearNsPerLine = 7;
constexpr double kStagedLineBytes = 64;

}  // namespace

void StagingCopy::copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return;
  if (kCanStream && bytes >= kLeastMeasuredBytes) {
    const uint32_t turn = copies_++ % kCopiesPerMeasurement;
    if (turn < 2) return measure(turn == 0 ? Cached : PastCaches, to, from, bytes);
  }
  copyBy(pastCaches_ && bytes >= kLeastStreamedBytes ? PastCaches : Cached, to, from, bytes);
}

void StagingCopy::copyBy(Way way, void* to, const void* from, size_t bytes) {
  if (way == Cached) {
    std::memcpy(to, from, bytes);
  } else {
    streamCopy(to, from, bytes);
    streamFence();
  }
}

void StagingCopy::measure(Way way, void* to, const void* from, size_t bytes) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point began = Clock::now();
  copyBy(way, to, from, bytes);
  const double ns = std::chrono::duration<double, std::nano>(Clock::now() - began).count();
  std::array<double, 2>& last = nsPerLine_[way];
  last = {ns / (static_cast<double>(bytes) / kStagedLineBytes), last[0]};
  const double cached = std::min(nsPerLine_[Cached][0], nsPerLine_[Cached][1]);
  const double past = std::min(nsPerLine_[PastCaches][0], nsPerLine_[PastCaches][1]);
  pastCaches_ = cached > kDearNsPerLine && cached > 2 * past;
}

}  // namespace espalier::transport
