#include "transport/stopwatch.h"

#include <fstream>
#include <string>

namespace espalier::transport {
namespace {

/// Whether the counter runs at one rate and alike on all cores. An x86 need not have such a one: Linux makes its clock of it
/// if it does, and watches it. Others always do.
bool isSteady() {
#if defined(__x86_64__)
  std::string source;
  std::getline(std::ifstream("/sys/devices/system/clocksource/clocksource0/current_clocksource"), source);
  return source == "tsc";
#else
  return true;
#endif
}

}  // namespace

Stopwatch::Stopwatch() : usesCounter_(isSteady()), madeAt_(now()) {}

/// Of a few the one that took the shortest: between its readings this thread may have lost its core.
Stopwatch::Moment Stopwatch::now() const {
  Moment best{};
  uint64_t shortest = ~uint64_t{0};
  for (int i = 0; i < 8; ++i) {
    const uint64_t before = read(), ns = clock(), took = read() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = {before + took / 2, ns};
  }
  return best;
}

void Stopwatch::learnRate() {
  const Moment moment = now();
  const uint64_t counted = moment.counted - madeAt_.counted;
  if (counted == 0) return;
  nsPerCount_ = static_cast<uint64_t>((static_cast<Wide>(moment.ns - madeAt_.ns) << kFractionBits) / counted);
}

}  // namespace espalier::transport
