#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "test/transport/reference.h"
#include "test/transport/shapes.h"
#include "transport/relay/wire_graph.h"

namespace espalier::test {
namespace {

using transport::WireGraph;

WireGraph graphOf(Shape shape, int size) {
  std::vector<uint64_t> named(size, 0);
  for (int rank = 0; rank < size; ++rank) {
    for (const int peer : wiresOf(shape, rank, size)) named[rank] |= uint64_t{1} << peer;
  }
  return WireGraph(named);
}

std::string text(const std::vector<int>& ranks) {
  std::string out;
  for (const int rank : ranks) out += std::to_string(rank) + " ";
  return out;
}

TEST("a route is a shortest one, and the same from both ends") {
  for (const Shape shape : kAllShapes) {
    for (int size = 2; size <= 16; ++size) {
      const WireGraph graph = graphOf(shape, size);
      for (int from = 0; from < size; ++from) {
        for (int to = 0; to < size; ++to) {
          if (from == to) continue;
          std::vector<int> there = graph.between(from, to), back = graph.between(to, from);
          std::reverse(back.begin(), back.end());
          CHECK_EQ(text(there), text(back));
          CHECK_EQ(there.empty(), graph.wired(from, to));
          int at = from;
          for (const int next : there) {
            CHECK(graph.wired(at, next));
            at = next;
          }
          CHECK(graph.wired(at, to));
        }
      }
    }
  }
  CHECK_EQ(text(graphOf(Shape::Ring, 6).between(0, 3)), "1 2 ");
  CHECK_EQ(text(graphOf(Shape::Line, 5).between(4, 1)), "3 2 ");
  CHECK_EQ(text(graphOf(Shape::Star, 5).between(3, 1)), "0 ");
}

TEST("a cycle of wires is found where there is one, whatever the order of the ranks") {
  CHECK_EQ(text(graphOf(Shape::Ring, 5).ring()), "0 1 2 3 4 ");
  CHECK_EQ(text(graphOf(Shape::Full, 4).ring()), "0 1 2 3 ");
  CHECK(graphOf(Shape::Line, 4).ring().empty());
  CHECK(graphOf(Shape::Star, 4).ring().empty());
  // Cables 0-2, 2-1, 1-3, 3-0.
  CHECK_EQ(text(WireGraph({0b1100, 0b1100, 0b0011, 0b0011}).ring()), "0 2 1 3 ");
  CHECK(graphOf(Shape::Islands, 16).ring().empty());
}

TEST("a wire counts only if both ends name it, and parts without a way are named") {
  CHECK(!WireGraph({0b10, 0b00}).wired(0, 1));
  CHECK_EQ(WireGraph({0b0010, 0b0001, 0b1000, 0b0100}).separateParts(), "0, 1 | 2, 3");
  CHECK_EQ(graphOf(Shape::Line, 7).separateParts(), "");
  SharedBoard board;
  runThreads(4, [&](int rank) {
    GroupOptions options = optionsFor(rank, 4, LinkKind::Tcp, board.get());
    options.directPeers = {rank ^ 1};
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "LinkUnavailable");
    CHECK(status.message.find("0, 1 | 2, 3") != std::string::npos);
  });
}

TEST("a wire to no other rank is refused") {
  for (const int peer : {-1, 0, 2}) {
    GroupOptions options;
    options.size = 2;
    options.secret = "a secret";
    options.directPeers = {peer};
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "InvalidArgument");
  }
}

TEST("statistics say through whom a peer without a wire is reached") {
  SharedBoard board;
  runThreads(4, [&](int rank) {
    auto group = join(shapedOptions(Shape::Line, rank, 4, LinkKind::SharedMemory, board.get()));
    for (const auto& peer : group->stats().peers) {
      const bool wired = std::abs(peer.rank - rank) == 1;
      CHECK_EQ(peer.via, wired ? -1 : peer.rank < rank ? rank - 1 : rank + 1);
      CHECK(peer.link == (wired ? LinkKind::SharedMemory : LinkKind::Tcp));
    }
    Status status;
    auto ends = group->split(rank % 3, rank, status);  // {0, 3} and {1}, {2}
    CHECK_OK(status);
    if (rank % 3 == 0) CHECK_EQ(ends->stats().peers[0].via, -2);
  });
}

TEST("splits work whose ranks are joined only through ranks outside of them") {
  SharedBoard board;
  runThreads(5, [&](int rank) {
    auto world = join(shapedOptions(Shape::Line, rank, 5, LinkKind::Tcp, board.get()));
    Status status;
    auto half = world->split(rank % 2, rank, status);  // {0, 2, 4} and {1, 3}
    CHECK_OK(status);
    auto quarter = half->split(half->rank() % 2, 0, status);  // {0, 4}: three ranks between them, none of them in it
    CHECK_OK(status);
    float value = static_cast<float>(rank);
    CHECK_OK(quarter->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_EQ(value, rank % 4 == 0 ? 4.0f : static_cast<float>(rank));
    CHECK_OK(half->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_OK(world->barrier());
  });
}

TEST("a rank that passes data on leaves only when those it joins are done") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    auto group = join(shapedOptions(Shape::Line, rank, 3, LinkKind::Tcp, board.get()));
    std::vector<float> data(1 << 18, static_cast<float>(rank));
    if (rank == 1) return;  // destroys its group at once
    for (int i = 0; i < 20; ++i) {
      CHECK_OK(rank == 0 ? group->send(data.data(), data.size(), DataType::Float32, 2)
                         : group->recv(data.data(), data.size(), DataType::Float32, 0));
    }
    CHECK_EQ(data.back(), 0.0f);
  });
}

TEST("the death of a rank on the way is named at both ends") {
  for (const int victim : {1, 2}) {
    SharedBoard board;
    Processes ranks(4, [&](int rank) {
      auto group = join(shapedOptions(Shape::Line, rank, 4, LinkKind::Tcp, board.get()));
      std::vector<char> data(100'000);
      Status status;
      for (int call = 0; status.ok(); ++call) {
        if (rank == 0) status = group->send(data.data(), data.size(), DataType::Int8, 3);
        if (rank == 3) status = group->recv(data.data(), data.size(), DataType::Int8, 0);
        if (rank == 1 || rank == 2) status = group->recv(data.data(), 1, DataType::Int8, 3 - rank);
        if (rank == 3) board->marks[0] = call;
      }
      CHECK_EQ(status.code, "PeerLost");
      CHECK_EQ(status.rank, victim);
    });
    eventually("data flows", 10, [&] { return board->marks[0] > 20; });
    ranks.signal(victim, SIGKILL);
    ranks.join(10, {victim});
  }
}

TEST("a rank that passes data on sleeps when nobody talks") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(shapedOptions(Shape::Star, rank, 3, LinkKind::Tcp, board.get()));
    char byte = 0;
    const clock_t before = clock();
    if (rank == 0) {
      usleep(500'000);
      CHECK(clock() - before < CLOCKS_PER_SEC / 20);
    }
    CHECK_OK(group->broadcast(&byte, 1, DataType::Int8, 0));
  });
  ranks.join(10);
}

TEST("collectives over every shape of wires") {
  for (const Shape shape : kAllShapes) {
    for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
      const int size = 6;
      SharedBoard board;
      runThreads(size, [&](int rank) {
        auto group = join(shapedOptions(shape, rank, size, kind, board.get()));
        for (const size_t count : {1u, 5'000u, 100'000u}) {
          std::vector<int32_t> data(count), all(count * size);
          for (size_t i = 0; i < count; ++i) data[i] = element<int32_t>(rank, i);
          CHECK_OK(group->allGather(data.data(), all.data(), count, DataType::Int32));
          CHECK_OK(group->allReduce(data.data(), data.data(), count, DataType::Int32, ReduceOp::Sum));
          for (size_t i = 0; i < count; ++i) {
            CHECK_EQ(data[i], reduced<int32_t>(0, size, i, ReduceOp::Sum));
            CHECK_EQ(all[(size - 1) * count + i], element<int32_t>(size - 1, i));
          }
        }
      });
    }
  }
}

}  // namespace
}  // namespace espalier::test
