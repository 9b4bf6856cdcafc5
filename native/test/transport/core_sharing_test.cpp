#if defined(__linux__)
#include <sched.h>

#include "test/transport/ranks.h"
#include "transport/shm/core_sharing.h"

namespace espalier::test {
namespace {

using namespace espalier::transport;

TEST("a rank that shares a core with another moves away, and may go anywhere afterwards") {
  cpu_set_t before, after;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  if (CPU_COUNT(&before) < 2) return;
  TeamSegment segment;
  CHECK_OK(TeamSegment::create(2, Digest{}, segment));
  CoreSharing sharing(segment, 2, 1);
  // The system may move the thread at any time, so the other's place is set anew until the two are found together.
  eventually("the thread is on another core", 10, [&] {
    const int shared = sched_getcpu();
    segment.words(0).cpu = static_cast<uint32_t>(shared) + 1;
    sharing.separateFrom(0, std::chrono::steady_clock::now());
    return sched_getcpu() != shared;
  });
  CHECK(sched_getaffinity(0, sizeof after, &after) == 0);
  CHECK(CPU_EQUAL(&before, &after));
  CHECK(segment.words(1).cpu != 0);
}

TEST("the lower of two ranks on a core stays") {
  TeamSegment segment;
  CHECK_OK(TeamSegment::create(2, Digest{}, segment));
  cpu_set_t before, here;
  CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
  const int cpu = sched_getcpu();
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  CHECK(sched_setaffinity(0, sizeof here, &here) == 0);
  CoreSharing sharing(segment, 2, 0);
  segment.words(1).cpu = static_cast<uint32_t>(cpu) + 1;
  sharing.separateFrom(1, std::chrono::steady_clock::now());
  CHECK_EQ(sched_getcpu(), cpu);
  CHECK_EQ(segment.words(0).cpu.load(), static_cast<uint32_t>(cpu) + 1);
  CHECK(sched_setaffinity(0, sizeof before, &before) == 0);
}

}  // namespace
}  // namespace espalier::test
#endif
