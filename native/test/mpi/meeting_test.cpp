#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "test/mpi/library.h"

namespace espalier::test {
namespace {

/// Sockets that process `pid` has open.
int socketsOf(pid_t pid) {
  int count = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", gone)) {
    count += std::filesystem::read_symlink(entry.path(), gone).string().starts_with("socket:") ? 1 : 0;
  }
  return count;
}

TEST("what a killed rank 0 announced is passed over, though a process has its number again") {
  const std::string leftover = std::to_string(getpid()) + " 1 " + std::string(64, '0') + "\n";
  runRanks(2, [](Mpi& mpi, int rank) {
    float value = static_cast<float>(rank + 1);
    CHECK_EQ(mpi.allReduce(kMpiInPlace, &value, 1, mpi.object("ompi_mpi_float"), mpi.object("ompi_mpi_op_sum"), mpi.world), 0);
    CHECK_EQ(value, 3.0f);
  }, leftover);
}

TEST("a rank that found rank 0 follows the one that takes its place while the group forms") {
  const Folder folder;
  const std::string meeting = folder.path() + "/meeting";
  SharedBoard board;
  const auto run = [&](int rank) {
    setPlace(rank, 3, "file:" + meeting);
    Mpi mpi;
    board->marks[rank] = 1;
    CHECK_EQ(mpi.init(nullptr, nullptr), 0);
    float value = 1;
    CHECK_EQ(mpi.allReduce(kMpiInPlace, &value, 1, mpi.object("ompi_mpi_float"), mpi.object("ompi_mpi_op_sum"), mpi.world), 0);
    CHECK_EQ(value, 3.0f);
    CHECK_EQ(mpi.finalize(), 0);
  };
  const auto isThere = [&] { return access(meeting.c_str(), F_OK) == 0; };
  Processes first(2, run);
  eventually("rank 0 announces itself", 10, isThere);
  // Rank 1 opens its ports when it has.
  const auto isFound = [&] { return socketsOf(first.pid(1)) > socketsOf(getpid()); };
  eventually("rank 1 has found it", 10, isFound);
  first.signal(0, SIGKILL);
  Processes second(3, [&](int rank) {
    if (rank != 1) run(rank);
  });
  second.join(20);
  first.join(20, {0});
  CHECK_EQ(entriesOf(folder.path().c_str()), 2);
}

TEST("a second rank 0 at the same place is AddressInUse, and the first one's group forms") {
  const Folder folder;
  const std::string meeting = folder.path() + "/meeting";
  SharedBoard board;
  Processes ranks(3, [&](int process) {
    const auto isThere = [&] { return access(meeting.c_str(), F_OK) == 0; };
    if (process != 0) eventually("the first rank 0 announces itself", 10, isThere);
    if (process == 1) eventually("the second rank 0 was refused", 10, [&] { return board->marks[0] != 0; });
    setPlace(process % 2, 2, "file:" + meeting);
    Mpi mpi;
    if (process == 2) {
      const std::string text = thrownBy([&] { mpi.init(nullptr, nullptr); });
      CHECK(text.find("AddressInUse: another rank 0 waits for its group at " + meeting) != std::string::npos);
      board->marks[0] = 1;
      return;
    }
    CHECK_EQ(mpi.init(nullptr, nullptr), 0);
    CHECK_EQ(mpi.finalize(), 0);
  });
  ranks.join(20);
}

TEST("a rank 0 that cannot announce itself says so at once") {
  const Folder folder;
  Processes rank0(1, [&](int rank) {
    setPlace(rank, 2, "file:" + folder.path());  // where no file can be
    Mpi mpi;
    const std::string text = thrownBy([&] { mpi.init(nullptr, nullptr); });
    CHECK(text.find("InvalidArgument: rank 0 cannot write " + folder.path()) != std::string::npos);
  });
  rank0.join(5);
}

}  // namespace
}  // namespace espalier::test
