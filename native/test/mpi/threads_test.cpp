#include <sys/wait.h>
#include <unistd.h>

#include "test/mpi/library.h"

// MLX calls from a thread per stream, and finalizes from the main thread.

namespace espalier::test {
namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void sum(Mpi& mpi, std::vector<int32_t>& data, Handle comm) {
  mpi.allReduce(kMpiInPlace, data.data(), static_cast<int>(data.size()), mpi.object("ompi_mpi_int32_t"),
                mpi.object("ompi_mpi_op_sum"), comm);
}

TEST("two threads work at the same time with a communicator each") {
  runRanks(2, [](Mpi& mpi, int) {
    Handle other = nullptr;
    mpi.split(mpi.world, 0, 0, &other);
    runThreads(2, [&](int thread) {
      for (int round = 0; round < 300; ++round) {
        std::vector<int32_t> data(static_cast<size_t>(1 + 5'000 * thread), round);
        sum(mpi, data, thread == 0 ? mpi.world : other);
        CHECK_EQ(data.back(), 2 * round);
      }
    });
    mpi.free(&other);
  });
}

TEST("after the end every call throws, and nothing else happens") {
  runRanks(2, [](Mpi& mpi, int) {
    std::vector<int32_t> data(10, 1);
    sum(mpi, data, mpi.world);
    mpi.finalize();
    CHECK(contains(thrownBy([&] { sum(mpi, data, mpi.world); }), "the program finished, before this call"));
    CHECK_EQ(mpi.finalize(), 0);
  });
}

TEST("a forked child that finishes does not take its parent's group along") {
  runRanks(2, [](Mpi& mpi, int) {
    const pid_t child = fork();
    if (child == 0) {
      mpi.finalize();
      _exit(0);
    }
    int wait = 0;
    CHECK(waitpid(child, &wait, 0) == child && wait == 0);
    std::vector<int32_t> data(10, 1);
    sum(mpi, data, mpi.world);
    CHECK_EQ(data[9], 2);
  });
}

}  // namespace
}  // namespace espalier::test
