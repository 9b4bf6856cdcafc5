#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "test/transport/ranks.h"
#include "test/transport/reference.h"

namespace espalier::test {
namespace {

TEST("a group of one needs nobody") {
  Status status;
  auto group = Group::create({}, status);
  CHECK_OK(status);
  const float in[3] = {1, 2, 3};
  float out[3] = {};
  CHECK_OK(group->allReduce(in, out, 3, DataType::Float32, ReduceOp::Sum));
  CHECK(std::memcmp(in, out, sizeof in) == 0);
  CHECK_OK(group->barrier());
  CHECK_OK(group->allReduce(nullptr, out, 0, DataType::Float32, ReduceOp::Sum));
  auto child = group->split(1, 0, status);
  CHECK_OK(status);
  CHECK_EQ(child->size(), 1);
}

TEST("a split says how it went, whatever the status said before") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::SharedMemory, board.get()));
    Status status = Status::failure("InvalidArgument", "of an earlier call");
    auto child = group->split(0, 0, status);
    CHECK_OK(status);
    CHECK_EQ(child->size(), 2);
  });
}

TEST("all ranks get the same bits, for sizes that are no power of two as well") {
  for (const int size : {3, 5, 8, 16}) {
    SharedBoard board;
    std::vector<std::vector<float>> results(size);
    runThreads(size, [&](int rank) {
      auto group = join(optionsFor(rank, size, LinkKind::SharedMemory, board.get()));
      for (const size_t count : {1'000u, 50'000u}) {
        std::vector<float> data(count);
        for (size_t i = 0; i < count; ++i) data[i] = element<float>(rank, i);
        CHECK_OK(group->allReduce(data.data(), data.data(), count, DataType::Float32, ReduceOp::Sum));
        for (size_t i = 0; i < count; i += 7) {
          const float expected = reduced<float>(0, size, i, ReduceOp::Sum);
          CHECK(std::memcmp(&data[i], &expected, sizeof expected) == 0);
        }
        results[rank].insert(results[rank].end(), data.begin(), data.end());
      }
    });
    for (int rank = 1; rank < size; ++rank) {
      CHECK(std::memcmp(results[0].data(), results[rank].data(), results[0].size() * sizeof(float)) == 0);
    }
  }
}

TEST("the tree can be told from a chain, and is the same for 2 and 4 ranks of partial sums") {
  // In fp32, (1e8 + 1) + (-1e8 + 1) is 0 or 2 by the order: the tree ((r0+r1)+(r2+r3)) gives exactly this.
  const float inputs[4] = {1e8f, 1.0f, -1e8f, 1.0f};
  SharedBoard board;
  runThreads(4, [&](int rank) {
    auto group = join(optionsFor(rank, 4, LinkKind::SharedMemory, board.get()));
    float value = inputs[rank];
    CHECK_OK(group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_EQ(value, (inputs[0] + inputs[1]) + (inputs[2] + inputs[3]));
  });
}

TEST("maximum and minimum of floats carry a NaN from any rank") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::SharedMemory, board.get()));
    for (const int source : {0, 1}) {
      float value = rank == source ? std::numeric_limits<float>::quiet_NaN() : 1.0f;
      CHECK_OK(group->allReduce(&value, &value, 1, DataType::Float32, source ? ReduceOp::Max : ReduceOp::Min));
      CHECK(std::isnan(value));
    }
  });
}

TEST("arguments that cannot be right are refused and leave the group alive") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::SharedMemory, board.get()));
    float value = 1;
    CHECK_EQ(group->send(&value, 1, DataType::Float32, 2).code, "InvalidArgument");
    CHECK_EQ(group->recv(&value, 1, DataType::Float32, rank).code, "InvalidArgument");
    CHECK_EQ(group->broadcast(&value, 1, DataType::Float32, -1).code, "InvalidArgument");
    CHECK_EQ(group->allReduce(nullptr, &value, 1, DataType::Float32, ReduceOp::Sum).code, "InvalidArgument");
    CHECK_EQ(group->allReduce(&value, &value, SIZE_MAX / 2, DataType::Float32, ReduceOp::Sum).code, "InvalidArgument");
    CHECK_EQ(group->allReduce(&value, &value, 1, static_cast<DataType>(99), ReduceOp::Sum).code, "InvalidArgument");
    CHECK_EQ(group->allReduce(&value, &value, 1, DataType::Complex64, ReduceOp::Max).code, "InvalidArgument");
    CHECK_OK(group->allReduce(nullptr, nullptr, 0, DataType::Float32, ReduceOp::Sum));
    CHECK_OK(group->barrier());
  });
}

TEST("splits work beside their parent and beside each other") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    SharedBoard board;
    Processes ranks(4, [&](int rank) {
      auto world = join(optionsFor(rank, 4, kind, board.get()));
      Status status;
      // Pipeline stages {0, 1} and {2, 3}; the second in reverse order by key.
      auto stage = world->split(rank / 2, rank < 2 ? rank : -rank, status);
      CHECK_OK(status);
      CHECK_EQ(stage->size(), 2);
      CHECK_EQ(stage->rank(), rank < 2 ? rank : 3 - rank);
      auto across = world->split(rank % 2, rank, status);
      CHECK_OK(status);
      for (int i = 0; i < 200; ++i) {
        float inStage = static_cast<float>(rank), inWorld = 1, inAcross = static_cast<float>(rank);
        CHECK_OK(stage->allReduce(&inStage, &inStage, 1, DataType::Float32, ReduceOp::Sum));
        CHECK_EQ(inStage, rank < 2 ? 1.0f : 5.0f);
        if (rank == 1) CHECK_OK(world->send(&inStage, 1, DataType::Float32, 2));
        if (rank == 2) CHECK_OK(world->recv(&inStage, 1, DataType::Float32, 1));
        CHECK_OK(across->allReduce(&inAcross, &inAcross, 1, DataType::Float32, ReduceOp::Sum));
        CHECK_EQ(inAcross, rank % 2 ? 4.0f : 2.0f);
        CHECK_OK(world->allReduce(&inWorld, &inWorld, 1, DataType::Float32, ReduceOp::Sum));
        CHECK_EQ(inWorld, 4.0f);
      }
      auto alone = stage->split(stage->rank(), 0, status);
      CHECK_OK(status);
      CHECK_EQ(alone->size(), 1);
      CHECK_OK(world->barrier());
    });
    ranks.join(20);
  }
}

TEST("a death anywhere in the family reaches a split that the dead rank is not in") {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    auto world = join(optionsFor(rank, 4, LinkKind::SharedMemory, board.get()));
    Status status;
    auto stage = world->split(rank / 2, rank, status);
    CHECK_OK(status);
    if (rank == 3) {
      while (board->marks[0] + board->marks[1] + board->marks[2] < 60) usleep(100);
      kill(getpid(), SIGKILL);
    }
    while (status.ok()) {
      float value = 1;
      status = rank == 2 && board->marks[rank] >= 20
                   ? stage->recv(&value, 1, DataType::Float32, 1)
                   : (rank == 2 ? Status::success()
                                : stage->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
      if (status.ok() && board->marks[rank] < 20) board->marks[rank]++;
    }
    CHECK_EQ(status.code, "PeerLost");
    CHECK_EQ(status.rank, rank == 2 ? 1 : -1);  // it is rank 1 of its own stage, and in no other
    CHECK(status.message.find("rank 3") != std::string::npos);
  });
  ranks.join(10, {3});
}

TEST("200 set-ups and teardowns leave no descriptor, thread or segment behind") {
  const auto cycle = [](LinkKind kind) {
    SharedBoard board;
    runThreads(2, [&](int rank) {
      auto group = join(optionsFor(rank, 2, kind, board.get()));
      group->allocate(1'000);
      CHECK_OK(group->barrier());
    });
  };
  cycle(LinkKind::SharedMemory);
  const int descriptors = entriesOf("/proc/self/fd"), threads = entriesOf("/proc/self/task");
  const int maps = entriesOf("/proc/self/map_files");
  for (int i = 0; i < 100; ++i) {
    cycle(LinkKind::SharedMemory);
    cycle(LinkKind::Tcp);
  }
  CHECK_EQ(entriesOf("/proc/self/fd"), descriptors);
  CHECK_EQ(entriesOf("/dev/shm", "esp-"), 0);
  // A joined thread leaves /proc a moment later. The C library keeps a few arenas and stacks.
  eventually("threads are gone", 10, [&] { return entriesOf("/proc/self/task") <= threads; });
  CHECK(entriesOf("/proc/self/map_files") < maps + 20);
}

TEST("a rank that waits for seconds uses next to no CPU") {
  SharedBoard boards[2];
  const auto body = [&](LinkKind kind, int rank) {
    auto group = join(optionsFor(rank, 2, kind, boards[kind == LinkKind::Tcp].get()));
    float value = 1;
    if (rank == 0) {
      usleep(1'000'000);
      CHECK_OK(group->broadcast(&value, 1, DataType::Float32, 0));
      CHECK_OK(group->barrier());
      return;
    }
    const auto cpuMs = [] {
      rusage usage{};
      getrusage(RUSAGE_SELF, &usage);
      return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
             (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
    };
    const auto before = cpuMs();
    CHECK_OK(group->broadcast(&value, 1, DataType::Float32, 0));
    CHECK(cpuMs() - before < 50);  // of 1000
    CHECK_OK(group->barrier());
  };
  Processes shm(2, [&](int rank) { body(LinkKind::SharedMemory, rank); });
  Processes tcp(2, [&](int rank) { body(LinkKind::Tcp, rank); });
  shm.join(10);
  tcp.join(10);
}

TEST("statistics count calls and bytes") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::Tcp, board.get()));
    std::vector<float> data(256);
    for (int i = 0; i < 5; ++i) {
      CHECK_OK(group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Sum));
    }
    const auto stats = group->stats();
    bool found = false;
    for (const auto& one : stats.collectives) {
      if (one.name != "allReduce") continue;
      found = true;
      CHECK_EQ(one.count, 5u);
      CHECK_EQ(one.bytes, 5u * 1'024);
      CHECK(one.maxUs > 0 && one.totalUs >= one.maxUs);
      uint64_t inHistogram = 0;
      for (const uint64_t calls : one.histogram) inHistogram += calls;
      CHECK_EQ(inHistogram, one.count);
    }
    CHECK(found);
    CHECK_EQ(stats.peers.size(), 1u);
    CHECK_EQ(stats.peers[0].bytesSent, 5u * 1'024);
    CHECK_EQ(stats.peers[0].bytesReceived, 5u * 1'024);
    CHECK_EQ(transport::LinkKind::Tcp == stats.peers[0].link, true);
  });
}

}  // namespace
}  // namespace espalier::test
