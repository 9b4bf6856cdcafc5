#include "transport/shm/core_sharing.h"

#if defined(__linux__)
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#endif

namespace espalier::transport {

bool CoreSharing::sharesCore(int member) const {
  return segment_.words(member).cpu.load(std::memory_order_relaxed) ==
         segment_.words(self_).cpu.load(std::memory_order_relaxed);
}

#if defined(__linux__)

namespace {

/// A move costs some 30 µs, and the system may undo it when the thread next sleeps.
constexpr auto kBetweenMoves = std::chrono::milliseconds(1);

/// Moves this thread to another of the cores it may use, if there is one. False when the system forbids it.
bool leaveCores(const cpu_set_t& taken) {
  cpu_set_t allowed, free;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  CPU_AND(&free, &allowed, &taken);
  CPU_XOR(&free, &allowed, &free);
  if (CPU_COUNT(&free) == 0) return true;
  if (sched_setaffinity(0, sizeof free, &free) != 0) return false;
  return sched_setaffinity(0, sizeof allowed, &allowed) == 0;
}

}  // namespace

uint32_t CoreSharing::noteCore() {
  const auto cpu = static_cast<uint32_t>(sched_getcpu() + 1);  // 0: not known
  std::atomic<uint32_t>& own = segment_.words(self_).cpu;
  if (own.load(std::memory_order_relaxed) != cpu) own.store(cpu, std::memory_order_relaxed);
  return cpu;
}

void CoreSharing::separateFrom(int member, std::chrono::steady_clock::time_point now) {
  const uint32_t cpu = noteCore();
  if (cpu == 0) return;
  // One of the two moves, or they would meet again.
  if (member > self_ || !possible_ || segment_.words(member).cpu.load(std::memory_order_relaxed) != cpu) return;
  if (now - lastMove_ < kBetweenMoves) return;
  lastMove_ = now;
  moveAway(cpu);
}

void CoreSharing::spreadOut(std::chrono::steady_clock::time_point now) {
  const uint32_t cpu = noteCore();
  if (cpu == 0 || !possible_ || now - lastMove_ < kBetweenMoves) return;
  int here = 1;
  bool isLast = true;  // one of them moves at a time
  for (int member = 0; member < members_; ++member) {
    if (member == self_ || !sharesCore(member)) continue;
    ++here;
    isLast &= member < self_;
  }
  cpu_set_t allowed;
  if (!isLast || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  lastMove_ = now;
  const int cores = CPU_COUNT(&allowed);
  if (here <= (members_ + cores - 1) / cores) return;
  cpu_set_t taken;
  CPU_ZERO(&taken);
  CPU_SET(cpu - 1, &taken);
  possible_ = leaveCores(taken);
}

void CoreSharing::moveAway(uint32_t cpu) {
  cpu_set_t taken;
  CPU_ZERO(&taken);
  for (int member = 0; member < members_; ++member) {
    const uint32_t seen = segment_.words(member).cpu.load(std::memory_order_relaxed);
    if (seen != 0 && seen <= CPU_SETSIZE && member != self_) CPU_SET(seen - 1, &taken);
  }
  CPU_SET(cpu - 1, &taken);
  possible_ = leaveCores(taken);
}

void TcpCoreSharing::separate(int fd, std::chrono::steady_clock::time_point now) {
  if (now - lastMove_ < kBetweenMoves) return;
  int cpu = -1;
  socklen_t length = sizeof cpu;
  if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &length) != 0 || cpu < 0 || cpu >= CPU_SETSIZE) return;
  if (cpu != sched_getcpu()) return;
  sockaddr_storage own{}, peer{};
  socklen_t ownLength = sizeof own, peerLength = sizeof peer;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &ownLength) != 0 ||
      getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peerLength) != 0 || own.ss_family != AF_INET ||
      peer.ss_family != AF_INET ||
      reinterpret_cast<sockaddr_in&>(own).sin_addr.s_addr != reinterpret_cast<sockaddr_in&>(peer).sin_addr.s_addr) {
    return;
  }
  lastMove_ = now;
  cpu_set_t taken;
  CPU_ZERO(&taken);
  CPU_SET(cpu, &taken);
  leaveCores(taken);
}

#else

uint32_t CoreSharing::noteCore() { return 0; }
void CoreSharing::spreadOut(std::chrono::steady_clock::time_point) {}
void CoreSharing::separateFrom(int, std::chrono::steady_clock::time_point) {}
void CoreSharing::moveAway(uint32_t) {}
void TcpCoreSharing::separate(int, std::chrono::steady_clock::time_point) {}

#endif

}  // namespace espalier::transport
