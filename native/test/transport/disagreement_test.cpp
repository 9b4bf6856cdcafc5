#include <signal.h>
#include <unistd.h>

#include "test/transport/ranks.h"

// Ranks of one secret that were started for different groups, where nobody starts them again.

namespace espalier::test {
namespace {

GroupOptions optionsOfOneJob(int rank, int size, Board* board) {
  GroupOptions options = optionsFor(rank, size, LinkKind::Tcp, board);
  options.disagreementEnds = true;
  options.rendezvousTimeoutMs = 60'000;
  return options;
}

TEST("a wrong size ends the rendezvous at once, on all, where nobody starts ranks again") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    if (rank == 2) {  // comes when rank 1 waits, who is told as well
      eventually("rank 1 was started", 10, [&] { return board->marks[1] != 0; });
      usleep(100'000);
    }
    const GroupOptions options = optionsOfOneJob(rank, rank == 2 ? 4 : 3, board.get());
    if (rank == 1) board->marks[1] = 1;
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "WrongSize");
    CHECK(status.message.find("3 ranks, rank 2 was started for 4") != std::string::npos);
    CHECK_EQ(status.rank, 2);
  });
}

TEST("another epoch ends the rendezvous on all, long before its deadline, whoever has it") {
  for (const int odd : {0, 2}) {
    SharedBoard board;
    runThreads(3, [&](int rank) {
      // Comes when rank 1 waits, who is told as well.
      if (rank == 2) eventually("rank 1 was started", 10, [&] { return board->marks[1] != 0; });
      GroupOptions options = optionsOfOneJob(rank, 3, board.get());
      if (rank == odd) options.epoch = 8;
      if (rank == 1) board->marks[1] = 1;
      const int64_t began = nowNs();
      Status status;
      CHECK(Group::create(options, status) == nullptr);
      CHECK_EQ(status.code, "WrongEpoch");
      const int guilty = odd == 0 && rank == 1 ? 1 : 2;
      if (odd == 2 || rank == 2) CHECK_EQ(status.rank, guilty);
      CHECK(status.message.find(odd == 0 ? "epoch 8" : "epoch 7, rank 2 came with 8") != std::string::npos);
      CHECK_EQ(status.message.find("epoch"), status.message.rfind("epoch"));  // once
      CHECK(secondsBetween(began, nowNs()) < 30);
    });
  }
}

TEST("a rank that is left from another epoch ends nothing when the right one comes as well") {
  SharedBoard board;
  runThreads(3, [&](int thread) {
    GroupOptions options = optionsOfOneJob(thread == 2 ? 1 : thread, 2, board.get());
    if (thread == 2) {
      options.epoch = 6;
      Status status;
      CHECK(Group::create(options, status) == nullptr);
      CHECK_EQ(status.code, "WrongEpoch");
      board->marks[0] = 1;
      return;
    }
    if (thread == 1) eventually("the other one was refused", 10, [&] { return board->marks[0] != 0; });
    CHECK_OK(join(options)->barrier());
  });
}

TEST("the shortest patience that any rank was given is the whole group's") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    GroupOptions options = optionsFor(rank, 3, LinkKind::Tcp, board.get());
    options.livenessTimeoutMs = rank == 1 ? 700 : 2'000;
    auto group = join(options);
    meet(board.get(), 3);
    if (rank == 2) raise(SIGSTOP);
    const Status status = group->barrier();
    CHECK_EQ(status.code, "PeerStopped");
    CHECK_EQ(status.rank, 2);
    CHECK(status.message.find("silent for 700 ms, as rank 0 hears it") != std::string::npos);
  });
  ranks.join(20, {2});
}

}  // namespace
}  // namespace espalier::test
