#include <signal.h>

#include <algorithm>
#include <random>
#include <thread>

#include "test/transport/product.h"
#include "test/transport/shapes.h"
#include "transport/mesh_group.h"

namespace espalier::test {
namespace {

using transport::Algorithm;
using transport::Choice;
using transport::kRingOrderBytes;
using transport::MeshGroup;
using transport::Plan;

Choice choiceOf(Algorithm algorithm, std::initializer_list<int> radices) {
  Choice choice;
  choice.algorithm = algorithm;
  for (const int radix : radices) choice.levels.radix[choice.levels.count++] = static_cast<uint8_t>(radix);
  return choice;
}

Plan only(const Choice& choice) {
  Plan plan;
  for (Plan::Table* table : {&plan.ordered, &plan.anyOrder}) {
    table->choices[0] = choice;
    table->count = 1;
  }
  return plan;
}

struct Forced {
  int size;
  Shape shape;
  Choice choice;
  int perHost = 0;  ///< 0: all on one host, and one kind of link
};

std::string text(const Forced& forced) {
  return choiceName(forced.choice) + " of " + std::to_string(forced.size) + " ranks";
}

void checkForced(const Forced& forced, LinkKind kind) {
  SharedBoard board;
  runThreads(forced.size, [&](int rank) {
    GroupOptions options = shapedOptions(forced.shape, rank, forced.size, kind, board.get());
    if (forced.perHost > 0) {
      options.hostId = "host " + std::to_string(rank / forced.perHost);
      options.links = {LinkKind::SharedMemory, LinkKind::Tcp};
    }
    auto group = join(options);
    static_cast<MeshGroup&>(*group).collectives().follow(only(forced.choice));
    for (const size_t count : {0u, 1u, 7u, 4'099u, 200'001u}) {
      const bool sparseRing = forced.shape == Shape::Ring && forced.size > 3;
      TreeOrder tree;
      tree.allReduce = forced.choice.algorithm != Algorithm::Ring;
      tree.reduceScatter = !sparseRing || count / forced.size * forced.size * sizeof(float) < kRingOrderBytes;
      const std::string what = text(forced) + ", " + std::to_string(count) + " elements";
      checkReduce<float>(*group, DataType::Float32, count, ReduceOp::Sum, tree, what);
      if (count < 10'000) checkReduce<int16_t>(*group, DataType::Int16, count, ReduceOp::Sum, {}, what);
    }
    CHECK_OK(group->barrier());
  });
}

const Forced kForced[] = {
    {2, Shape::Full, choiceOf(Algorithm::Exchange, {2})},     {5, Shape::Full, choiceOf(Algorithm::Exchange, {5})},
    {4, Shape::Full, choiceOf(Algorithm::Exchange, {2, 2})},  {8, Shape::Full, choiceOf(Algorithm::Exchange, {2, 2, 2})},
    {6, Shape::Full, choiceOf(Algorithm::Exchange, {2, 3})},  {8, Shape::Full, choiceOf(Algorithm::Exchange, {4, 2})},
    {3, Shape::Full, choiceOf(Algorithm::Blocks, {3})},       {4, Shape::Line, choiceOf(Algorithm::Blocks, {4})},
    {4, Shape::Full, choiceOf(Algorithm::Hierarchy, {2, 2})}, {6, Shape::Full, choiceOf(Algorithm::Hierarchy, {2, 3})},
    {8, Shape::Full, choiceOf(Algorithm::Hierarchy, {4, 2})}, {3, Shape::Ring, choiceOf(Algorithm::PassAround, {3})},
    {4, Shape::Ring, choiceOf(Algorithm::PassAround, {4})},   {5, Shape::Ring, choiceOf(Algorithm::PassAround, {5})},
    {3, Shape::Full, choiceOf(Algorithm::Ring, {3})},         {4, Shape::Ring, choiceOf(Algorithm::Ring, {4})},
    {7, Shape::Ring, choiceOf(Algorithm::Ring, {7})}};

TEST("every algorithm gives the promised bits") {
  for (const Forced& forced : kForced) checkForced(forced, LinkKind::Tcp);
}
TEST("a hierarchy of hosts gives the promised bits, with teams in them and without") {
  const Choice both[] = {choiceOf(Algorithm::Exchange, {2, 3}), choiceOf(Algorithm::Hierarchy, {2, 3})};
  for (const Choice& choice : both) checkForced({6, Shape::Full, choice, 2}, LinkKind::Tcp);
  // Without a wire between two ranks of each host there is no team.
  checkForced({8, Shape::Ring, choiceOf(Algorithm::Hierarchy, {4, 2}), 4}, LinkKind::Tcp);
  checkForced({8, Shape::Full, choiceOf(Algorithm::Hierarchy, {4, 2}), 4}, LinkKind::Tcp);
}
TEST("ranks that share cores over TCP take the same algorithms in every group, and measure nothing") {
  const int size = static_cast<int>(std::max(2u, std::thread::hardware_concurrency())) + 2;
  if (size > 12) return;  // with many cores it would take more ranks than a test should start
  const Plan plan = makePlan({.ranks = size}, transport::figuresOfSharedCores(size));
  SharedBoard board;
  runThreads(size, [&](int rank) {
    const auto group = join(shapedOptions(Shape::Full, rank, size, LinkKind::Tcp, board.get()));
    const transport::GroupStats stats = group->stats();
    CHECK(stats.steps.empty());
    uint64_t floats = 0;
    for (const transport::AlgorithmStats& chosen : stats.algorithms) {
      if (chosen.anyOrder) continue;
      CHECK_EQ(chosen.algorithm, choiceName(plan.ordered.choices[floats]));
      CHECK_EQ(chosen.fromBytes, plan.ordered.choices[floats].fromBytes);
      ++floats;
    }
    CHECK_EQ(floats, plan.ordered.count);
    CHECK_OK(group->barrier());
  });
}

TEST("a rank that is killed in the midst of any algorithm is named by all others in time") {
  const auto seed = static_cast<uint32_t>(seedOr(31));
  std::mt19937 random(seed);
  for (const Forced& forced : kForced) {
    if (forced.size < 4 || forced.size > 6) continue;
    const int victim = static_cast<int>(random() % forced.size);
    const int afterCalls = static_cast<int>(random() % 50);
    const size_t count = size_t{1} << random() % 18;
    const std::string what = text(forced) + ", seed " + std::to_string(seed) + ": ";
    SharedBoard board;
    Processes ranks(forced.size, [&](int rank) {
      auto group = join(shapedOptions(forced.shape, rank, forced.size, LinkKind::Tcp, board.get()));
      static_cast<MeshGroup&>(*group).collectives().follow(only(forced.choice));
      std::vector<float> data(count, 1.0f);
      Status status;
      while (status.ok()) {
        status = group->allReduce(data.data(), data.data(), count, DataType::Float32, ReduceOp::Max);
        if (rank == victim) ++board->marks[0];
      }
      board->times[rank] = nowNs();
      if (status.code != "PeerLost" || status.rank != victim) throw CheckFailure(what + status.message);
    });
    eventually("calls are made", 20, [&] { return board->marks[0] > afterCalls; });
    const int64_t killed = nowNs();
    ranks.signal(victim, SIGKILL);
    ranks.join(20, {victim});
    for (int rank = 0; rank < forced.size; ++rank) {
      if (rank != victim && secondsBetween(killed, board->times[rank]) > boundSeconds()) throw CheckFailure(what + "too late");
    }
  }
}

TEST("slow: every algorithm gives the promised bits over shared memory") {
  for (const Forced& forced : kForced) checkForced(forced, LinkKind::SharedMemory);
}

}  // namespace
}  // namespace espalier::test
