#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "test/transport/faults.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

constexpr int kMany = 16;

/// One of sixteen ranks is struck while all work; every other one must blame it, in time.
void checkMany(int victim, int signalNumber, const char* code) {
  SharedBoard board;
  Processes ranks(kMany, [&](int rank) {
    const int descriptors = descriptorsOfThisProcess();
    GroupOptions options = optionsFor(rank, kMany, LinkKind::SharedMemory, board.get());
    options.links = {LinkKind::SharedMemory, LinkKind::Tcp};
    options.hostId = rank < kMany / 2 ? "one" : "other";
    options.rendezvousTimeoutMs = 30'000;
    auto group = join(options);
    float value = 1;
    Status status;
    while (status.ok()) {
      status = group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Max);
      board->marks[rank]++;
    }
    post(board.get(), rank, status);
    endQuietly(std::move(group), status, descriptors);
  });
  eventually("all sixteen work", 60, [&] {
    for (int rank = 0; rank < kMany; ++rank) {
      if (board->marks[rank] < 3) return false;
    }
    return true;
  });
  const int64_t struckNs = nowNs();
  ranks.signal(victim, signalNumber);
  ranks.join(20, {victim});
  for (int rank = 0; rank < kMany; ++rank) {
    if (rank == victim) continue;
    CHECK_EQ(std::string(board->codes[rank]), std::string(code));
    CHECK_EQ(board->guilty[rank].load(), victim);
    CHECK(secondsBetween(struckNs, board->times[rank]) < boundSeconds());
  }
}

TEST("slow: of sixteen ranks rank 0 dies, and all others blame it") { checkMany(0, SIGKILL, "PeerLost"); }
TEST("slow: of sixteen ranks one in the middle dies, and all others blame it") { checkMany(9, SIGKILL, "PeerLost"); }
TEST("slow: of sixteen ranks rank 0 stops, and all others blame it") { checkMany(0, SIGSTOP, "PeerStopped"); }

TEST("abort ends a split that waits for a rank") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::Tcp, board.get()));
    if (rank == 2) {
      eventually("the others split", 10, [&] { return board->marks[0] + board->marks[1] == 2; });
      group->abort("no split today");
      return;
    }
    board->marks[rank] = 1;
    Status status;
    CHECK(group->split(0, 0, status) == nullptr);
    CHECK_EQ(status.code, "GroupAborted");
    CHECK_EQ(status.message, "no split today");
    CHECK_EQ(status.rank, 2);
  });
}

TEST("of many aborts at once each rank hears one, for good") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    SharedBoard board;
    runThreads(3, [&](int rank) {
      auto group = join(optionsFor(rank, 3, kind, board.get()));
      board->marks[0]++;
      eventually("all have joined", 10, [&] { return board->marks[0] == 3; });
      std::vector<std::thread> aborters;
      for (int i = 0; i < 3; ++i) {
        aborters.emplace_back([&, i] { group->abort("rank " + std::to_string(rank) + "." + std::to_string(i)); });
      }
      Status status;
      while (status.ok()) status = group->barrier();
      for (std::thread& aborter : aborters) aborter.join();
      CHECK_EQ(status.code, "GroupAborted");
      CHECK(status.message.starts_with("rank "));
      CHECK_EQ(group->barrier().message, status.message);
    });
  }
}

TEST("a group destroyed while others are inside a collective is PeerLeft for them") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    SharedBoard board;
    Processes ranks(3, [&](int rank) {
      const int descriptors = descriptorsOfThisProcess();
      auto group = join(optionsFor(rank, 3, kind, board.get()));
      if (rank == 1) {
        eventually("the others are inside", 10, [&] { return board->marks[0] + board->marks[2] == 2; });
        return endQuietly(std::move(group), Status::success(), descriptors);
      }
      std::vector<float> data(500'000, 1.0f);
      board->marks[rank] = 1;
      const Status status = group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Sum);
      CHECK_EQ(status.code, "PeerLeft");
      CHECK_EQ(status.rank, 1);
      CHECK_EQ(status.link, nameOf(kind));
      endQuietly(std::move(group), status, descriptors);
    });
    ranks.join(10);
  }
}

TEST("a rank that waits for one who waits for its broadcast is told so") {
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.operationTimeoutMs = 0;  // nothing but the difference ends it
    auto group = join(options);
    float value = 0;
    const Status status = rank == 0 ? group->broadcast(&value, 1, DataType::Float32, 1)
                                    : group->recv(&value, 1, DataType::Float32, 0);
    CHECK_EQ(status.code, "PeerMismatch");
    CHECK_EQ(status.rank, 0);  // the other one, as the one that finds it sees it
  });
  ranks.join(20);
}

}  // namespace
}  // namespace espalier::test
