#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "test/mpi/library.h"

namespace espalier::test {
namespace {

/// What this process holds of the system.
struct Holdings {
  int descriptors = entriesOf("/proc/self/fd");
  int threads = entriesOf("/proc/self/task");
  int segments = 0;

  Holdings() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) segments += line.find("memfd:espalier") != std::string::npos ? 1 : 0;
  }
  bool operator==(const Holdings&) const = default;
};

/// A thread that has been joined may be listed for a moment.
void holdsAgain(const Holdings& before) {
  eventually("nothing of the groups is left", 10, [&] { return Holdings() == before; });
}

std::string sum(Mpi& mpi, Handle comm) {
  std::vector<float> data(10'000, 1);
  return thrownBy([&] {
    mpi.allReduce(kMpiInPlace, data.data(), static_cast<int>(data.size()), mpi.object("ompi_mpi_float"),
                  mpi.object("ompi_mpi_op_sum"), comm);
  });
}

/// Rank 2 dies while the others are in calls on `comms`, of the world and of a part.
void surviveWith(const char* links) {
  const Folder folder;
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    setPlace(rank, 3, "file:" + folder.path() + "/meeting");
    setenv("ESPALIER_LINKS", links, 1);
    Mpi mpi;
    const Holdings before;
    CHECK_EQ(mpi.init(nullptr, nullptr), 0);
    Handle all = nullptr, none = nullptr, two = nullptr;
    mpi.split(mpi.world, 0, 0, &all);
    mpi.split(mpi.world, kMpiUndefined, 0, &none);
    mpi.split(mpi.world, rank < 2 ? 0 : 1, 0, &two);
    CHECK_EQ(sum(mpi, two), "");
    CHECK_EQ(sum(mpi, all), "");
    meet(board.get(), 3);
    if (rank == 2) raise(SIGKILL);
    const std::string text = sum(mpi, all);
    CHECK(text.find("PeerLost: rank 2 of 3") != std::string::npos);
    holdsAgain(before);
    // Each says so again, as itself counts, and what it was used for last.
    CHECK_EQ(sum(mpi, all), text);
    CHECK(sum(mpi, mpi.world).find("PeerLost: rank 2 of 3") != std::string::npos);
    CHECK(sum(mpi, two).find("PeerLost: rank 2 of 3") != std::string::npos);
    mpi.free(&two);
    CHECK_EQ(mpi.finalize(), 0);
    holdsAgain(before);
  });
  ranks.join(20, {2});
}

TEST("a rank that survives another frees all that its groups hold when it hears of it, shm") { surviveWith("shm"); }
TEST("a rank that survives another frees all that its groups hold when it hears of it, tcp") { surviveWith("tcp"); }

TEST("threads that wait in calls on several groups all hear of a death, and the last one frees what is left") {
  const Folder folder;
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    setPlace(rank, 2, "file:" + folder.path() + "/meeting");
    Mpi mpi;
    const Holdings before;
    CHECK_EQ(mpi.init(nullptr, nullptr), 0);
    Handle part = nullptr;
    mpi.split(mpi.world, 0, 0, &part);
    CHECK_EQ(sum(mpi, part), "");
    meet(board.get(), 2);
    if (rank == 1) raise(SIGKILL);
    runThreads(2, [&](int thread) {
      CHECK(sum(mpi, thread == 0 ? mpi.world : part).find("PeerLost: rank 1 of 2") != std::string::npos);
    });
    holdsAgain(before);
  });
  ranks.join(20, {1});
}

}  // namespace
}  // namespace espalier::test
