#include "transport/shm/core_sharing.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace espalier::transport {

#if defined(__linux__)

namespace {

/// A move costs some 30 µs, and the system may undo it when the thread next sleeps.
constexpr auto kBetweenMoves = std::chrono::milliseconds(1);

}  // namespace

void CoreSharing::separateFrom(int member, std::chrono::steady_clock::time_point now) {
  const int found = sched_getcpu();
  if (found < 0) return;
  const auto cpu = static_cast<uint32_t>(found) + 1;  // 0: not known yet
  std::atomic<uint32_t>& own = segment_.words(self_).cpu;
  if (own.load(std::memory_order_relaxed) != cpu) own.store(cpu, std::memory_order_relaxed);
  // One of the two moves, or they would meet again.
  if (member > self_ || !possible_ || segment_.words(member).cpu.load(std::memory_order_relaxed) != cpu) return;
  if (now - lastMove_ < kBetweenMoves) return;
  lastMove_ = now;
  moveAway(cpu);
}

void CoreSharing::moveAway(uint32_t cpu) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    possible_ = false;
    return;
  }
  cpu_set_t free = allowed;
  CPU_CLR(cpu - 1, &free);
  for (int member = 0; member < members_; ++member) {
    const uint32_t taken = segment_.words(member).cpu.load(std::memory_order_relaxed);
    if (taken != 0 && taken <= CPU_SETSIZE && member != self_) CPU_CLR(taken - 1, &free);
  }
  if (CPU_COUNT(&free) == 0) return;
  possible_ = sched_setaffinity(0, sizeof free, &free) == 0;
  if (possible_) sched_setaffinity(0, sizeof allowed, &allowed);
}

#else

void CoreSharing::separateFrom(int, std::chrono::steady_clock::time_point) {}
void CoreSharing::moveAway(uint32_t) {}

#endif

}  // namespace espalier::transport
