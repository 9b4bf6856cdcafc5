#include <signal.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

#include "test/transport/ranks.h"
#include "transport/group.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

void post(Board* board, int rank, const Status& status) {
  std::snprintf(board->codes[rank], sizeof board->codes[rank], "%s", status.code.c_str());
  std::snprintf(board->text[rank], sizeof board->text[rank], "%s", status.message.c_str());
  board->guilty[rank] = status.rank;
  board->times[rank] = nowNs();
}

/// Works until the first failure.
Status workUntilFailure(Group& group, Board* board) {
  std::vector<float> data(4'096, 1.0f);
  for (;;) {
    const Status status = group.allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Max);
    if (!status.ok()) return status;
    board->marks[group.rank()]++;
  }
}

/// Waits in the middle of a collective that the victim has not entered.
Status waitInside(Group& group, Board* board, int victim) {
  if (group.rank() == victim) {
    board->marks[victim] = 1;
    for (;;) pause();
  }
  board->marks[group.rank()] = 1;
  std::vector<float> data(1 << 18, 1.0f);
  return group.allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Sum);
}

/// Does nothing until told, then calls: the failure must be there at once.
Status callAfterIdling(Group& group, Board* board) {
  board->marks[group.rank()] = 1;
  while (board->marks[63] == 0) usleep(1'000);
  return group.barrier();
}

enum class Moment { Working, Inside, Idle };

/// One group of three, of which `victim` is struck.
struct Trial {
  LinkKind kind;
  int victim, signalNumber;
  Moment moment;
  SharedBoard board;
  std::unique_ptr<Processes> ranks;
  int64_t struckNs = 0;
};
constexpr int kTrialSize = 3;

void start(Trial& trial) {
  trial.ranks = std::make_unique<Processes>(kTrialSize, [&](int rank) {
    Board* board = trial.board.get();
    auto group = join(optionsFor(rank, kTrialSize, trial.kind, board));
    const Status status = trial.moment == Moment::Working  ? workUntilFailure(*group, board)
                          : trial.moment == Moment::Inside ? waitInside(*group, board, trial.victim)
                                                           : callAfterIdling(*group, board);
    post(board, rank, status);
    CHECK_EQ(status.link, rank == trial.victim ? "" : nameOf(trial.kind));
    // Dead for good: the same answer, at once.
    const Status again = group->barrier();
    CHECK_EQ(again.code, status.code);
    CHECK_EQ(again.message, status.message);
  });
}

void strike(Trial& trial) {
  eventually("all ranks are at it", 10, [&] {
    for (int rank = 0; rank < kTrialSize; ++rank) {
      if (trial.board->marks[rank] < (trial.moment == Moment::Working ? 20 : 1)) return false;
    }
    return true;
  });
  trial.struckNs = nowNs();
  trial.ranks->signal(trial.victim, trial.signalNumber);
}

void checkSurvivors(Trial& trial) {
  trial.board->marks[63] = 1;  // idle survivors call now, and find the news waiting or hear it in time
  trial.ranks->join(10, {trial.victim});
  for (int rank = 0; rank < kTrialSize; ++rank) {
    if (rank == trial.victim) continue;
    CHECK_EQ(std::string(trial.board->codes[rank]),
             std::string(trial.signalNumber == SIGKILL ? "PeerLost" : "PeerStopped"));
    CHECK_EQ(trial.board->guilty[rank].load(), trial.victim);
    CHECK(std::strstr(trial.board->text[rank], ("rank " + std::to_string(trial.victim)).c_str()) != nullptr);
    const double seconds = secondsBetween(trial.struckNs, trial.board->times[rank]);
    if (seconds > boundSeconds()) throw CheckFailure("rank " + std::to_string(rank) + " took " + std::to_string(seconds));
  }
  if (trial.signalNumber != SIGSTOP) return;
  // The stopped rank is told when it goes on.
  trial.ranks->signal(trial.victim, SIGCONT);
  trial.ranks->join(20);  // the others have ended
  CHECK_EQ(std::string(trial.board->codes[trial.victim]), std::string("PeerStopped"));
  CHECK_EQ(trial.board->guilty[trial.victim].load(), trial.victim);
}

/// Strikes each rank of a group of its own, at the same time: rank 0 is the star's centre and another case than the
/// rest.
void checkDeaths(LinkKind kind, int signalNumber, Moment moment) {
  Trial trials[kTrialSize] = {{kind, 0, signalNumber, moment, {}, {}},
                              {kind, 1, signalNumber, moment, {}, {}},
                              {kind, 2, signalNumber, moment, {}, {}}};
  for (Trial& trial : trials) start(trial);
  for (Trial& trial : trials) strike(trial);
  if (moment == Moment::Idle) {
    // Long enough that the survivors' watch has found out while nobody called.
    std::this_thread::sleep_for(std::chrono::milliseconds(signalNumber == SIGKILL ? 300 : 2'200));
  }
  for (Trial& trial : trials) checkSurvivors(trial);
}

TEST("SIGKILL of each rank at work, shm") { checkDeaths(LinkKind::SharedMemory, SIGKILL, Moment::Working); }
TEST("SIGKILL of each rank at work, tcp") { checkDeaths(LinkKind::Tcp, SIGKILL, Moment::Working); }
TEST("SIGKILL of each rank while others wait inside, shm") {
  checkDeaths(LinkKind::SharedMemory, SIGKILL, Moment::Inside);
}
TEST("SIGKILL of each rank while others wait inside, tcp") { checkDeaths(LinkKind::Tcp, SIGKILL, Moment::Inside); }
TEST("SIGKILL of each rank while idle") { checkDeaths(LinkKind::Tcp, SIGKILL, Moment::Idle); }
TEST("SIGSTOP of each rank at work, shm") { checkDeaths(LinkKind::SharedMemory, SIGSTOP, Moment::Working); }
TEST("SIGSTOP of each rank at work, tcp") { checkDeaths(LinkKind::Tcp, SIGSTOP, Moment::Working); }
TEST("SIGSTOP of each rank while idle") { checkDeaths(LinkKind::SharedMemory, SIGSTOP, Moment::Idle); }

TEST("verbs: SIGKILL of each rank at work") { checkDeaths(LinkKind::Verbs, SIGKILL, Moment::Working); }
TEST("verbs: SIGKILL of each rank while others wait inside") {
  checkDeaths(LinkKind::Verbs, SIGKILL, Moment::Inside);
}
TEST("verbs: SIGKILL of each rank while idle") { checkDeaths(LinkKind::Verbs, SIGKILL, Moment::Idle); }
TEST("verbs: SIGSTOP of each rank at work") { checkDeaths(LinkKind::Verbs, SIGSTOP, Moment::Working); }

TEST("SIGKILL of all ranks leaves no segment behind") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::SharedMemory, board.get()));
    workUntilFailure(*group, board.get());
  });
  eventually("all ranks work", 10, [&] { return board->marks[0] > 9 && board->marks[1] > 9 && board->marks[2] > 9; });
#ifdef __linux__
  for (int rank = 0; rank < 3; ++rank) {
    // What they share lies in no file system, so there is nothing that could be left behind.
    std::ifstream maps("/proc/" + std::to_string(ranks.pid(rank)) + "/maps");
    const std::string text{std::istreambuf_iterator<char>(maps), {}};
    CHECK(text.find("/memfd:espalier (deleted)") != std::string::npos);
    CHECK(text.find("/dev/shm/") == std::string::npos);
  }
#endif
  for (int rank = 0; rank < 3; ++rank) ranks.signal(rank, SIGKILL);
  CHECK_EQ(entriesOf("/dev/shm", "esp-"), 0);
}

TEST("a rank killed while the group forms never leaves another hanging") {
  for (int round = 0; round < 12; ++round) {
    SharedBoard board;
    const int victim = round % 3;
    Processes ranks(3, [&](int rank) {
      GroupOptions options = optionsFor(rank, 3, LinkKind::SharedMemory, board.get());
      options.rendezvousTimeoutMs = 400;
      Status status;
      auto group = Group::create(options, status);
      if (status.ok()) status = workUntilFailure(*group, board.get());
      CHECK(status.code == "PeerLost" || status.code == "RendezvousTimeout");
    });
    // Half a millisecond apart: from before the first dial to well after the last barrier.
    eventually("rank 0 listens", 10, [&] { return board->port != 0; });
    usleep(static_cast<useconds_t>(500 * round));
    ranks.signal(victim, SIGKILL);
    ranks.join(10, {victim});
  }
}

TEST("abort from another thread ends a waiting call on every rank, with the reason") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::SharedMemory, board.get()));
    meet(board.get(), 3);  // a rank that still joins would fail there
    std::thread aborter;
    if (rank == 1) {
      aborter = std::thread([&] {
        usleep(50'000);
        group->abort("the operator said so");
      });
    }
    float value = 0;
    // Rank 0 waits for rank 1, rank 1 for rank 2, and rank 2 for rank 0: only the abort ends it.
    const Status status = group->recv(&value, 1, DataType::Float32, (rank + 1) % 3);
    if (aborter.joinable()) aborter.join();
    CHECK_EQ(status.code, "GroupAborted");
    CHECK_EQ(status.message, "the operator said so");
    CHECK_EQ(status.rank, 1);
    CHECK_EQ(group->barrier().code, "GroupAborted");
  });
  ranks.join(20);
}

void checkLeaving(LinkKind kind) {
  for (const int leaver : {0, 2}) {
    SharedBoard board;
    Processes ranks(3, [&](int rank) {
      auto group = join(optionsFor(rank, 3, kind, board.get()));
      std::vector<float> data(200'000, 1.0f);
      if (rank != leaver) usleep(20'000 * (rank + 1));  // the leaver is gone before the others are through
      CHECK_OK(group->broadcast(data.data(), data.size() / 20, DataType::Float32, leaver));
      if (rank == leaver) return;
      const int other = 3 - leaver - rank;
      float value = 1;
      if (rank < other) CHECK_OK(group->send(&value, 1, DataType::Float32, other));
      if (rank > other) CHECK_OK(group->recv(&value, 1, DataType::Float32, other));
      meet(board.get(), 2);  // the next failure is the whole group's, so both must be through
      const Status status = group->recv(&value, 1, DataType::Float32, leaver);
      CHECK_EQ(status.code, "PeerLeft");
      CHECK_EQ(status.rank, leaver);
    });
    ranks.join(10);
  }
}

TEST("an orderly leave is an error only for who needs the one that left") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) checkLeaving(kind);
}
TEST("verbs: an orderly leave is an error only for who needs the one that left") { checkLeaving(LinkKind::Verbs); }

void checkEarlyLeaving(LinkKind kind) {
  for (int round = 0; round < 10; ++round) {
    SharedBoard board;
    Processes ranks(4, [&](int rank) {
      auto group = join(optionsFor(rank, 4, kind, board.get()));
      std::vector<float> data(50'000, 1.0f);
      CHECK_OK(group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Sum));
      CHECK(data[49'999] == 4.0f);
    });
    ranks.join(10);
  }
}

TEST("ranks that finish a collective early and leave do not break those still in it") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) checkEarlyLeaving(kind);
}
TEST("verbs: ranks that finish a collective early and leave do not break those still in it") { checkEarlyLeaving(LinkKind::Verbs); }

TEST("a live rank that stays away is an OperationTimeout that names it") {
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.operationTimeoutMs = 3'000;  // the group must form within it
    auto group = join(options);
    if (rank == 1) {
      while (board->marks[0] == 0) usleep(1'000);
      Status status;
      // The first may succeed on what rank 0 had sent already.
      while (status.ok()) status = group->barrier();
      CHECK_EQ(status.code, "OperationTimeout");
      return;
    }
    const Status status = group->barrier();
    board->marks[0] = 1;
    CHECK_EQ(status.code, "OperationTimeout");
    CHECK_EQ(status.rank, 1);
    CHECK_EQ(status.link, "tcp");
  });
  ranks.join(10);
}

}  // namespace
}  // namespace espalier::test
