#include "transport/shm/futex.h"

#include <time.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <limits>

namespace espalier::transport {

#ifdef __linux__

void sleepWhile(std::atomic<uint32_t>& word, uint32_t seen, int64_t timeoutUs) {
  const timespec timeout{static_cast<time_t>(timeoutUs / 1'000'000), static_cast<long>(timeoutUs % 1'000'000 * 1000)};
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, &timeout, nullptr, 0);
}

void wakeSleepers(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, &word, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
}

#else

// macOS before 14.4 has no public futex across processes: sleep briefly and look again.
void sleepWhile(std::atomic<uint32_t>& word, uint32_t seen, int64_t timeoutUs) {
  if (word.load() != seen) return;
  const timespec pause{0, static_cast<long>(std::min<int64_t>(timeoutUs, 1'000) * 1000)};
  nanosleep(&pause, nullptr);
}

void wakeSleepers(std::atomic<uint32_t>&) {}

#endif

}  // namespace espalier::transport
