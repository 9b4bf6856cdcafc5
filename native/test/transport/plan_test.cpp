#include <chrono>
#include <random>

#include "test/check.h"
#include "transport/collectives/plan.h"
#include "transport/stats.h"
#include "transport/stopwatch.h"

namespace espalier::test {
namespace {

using namespace transport;

GroupShape shapeOf(int ranks, bool everyPairWired = true, bool ring = true, int perHost = 0) {
  GroupShape shape;
  shape.ranks = ranks;
  shape.everyPairWired = everyPairWired;
  shape.ringOfWires = ring;
  shape.perHost = perHost;
  shape.uniform = perHost == 0;
  return shape;
}

/// Each peer costs `peerUs`, each byte to it `byteUs`, and a step `stepUs` on top.
CostFigures figuresOf(int ranks, double stepUs, double peerUs, double byteUs) {
  CostFigures figures;
  figures.all = {stepUs + (ranks - 1) * peerUs, (ranks - 1) * byteUs};
  figures.pair = {stepUs + peerUs, byteUs};
  figures.ring = {stepUs + 2 * peerUs, 2 * byteUs};
  figures.reduceUsPerByte = byteUs / 20;
  return figures;
}

TEST("where a step costs most, one step is taken; where messages do, fewer of them") {
  const GroupShape shape = shapeOf(8);
  CHECK_EQ(choiceName(makePlan(shape, figuresOf(8, 30, 0.1, 1e-4)).ordered.at(4'096)), "exchange");
  CHECK_EQ(choiceName(makePlan(shape, figuresOf(8, 1, 10, 1e-4)).ordered.at(4'096)), "exchange by levels, 2 × 2 × 2");
  const Plan plan = makePlan(shape, figuresOf(8, 10, 0, 1e-3));
  CHECK_EQ(choiceName(plan.ordered.at(64 << 20)), "reduce-scatter and all-gather");
  // Fewer messages at no more bytes, if a message costs enough.
  CHECK_EQ(choiceName(makePlan(shapeOf(4), figuresOf(4, 1, 30, 1e-4)).ordered.at(1 << 20)), "hierarchy, 2 × 2");
}

TEST("the predicted cost of one step and of two meets where their figures say") {
  const GroupShape shape = shapeOf(4);
  CostFigures figures;
  figures.all = {20, 3e-3};
  const Choice whole = candidates(shape, false, 64)[0];
  Choice blocks = whole;
  blocks.algorithm = Algorithm::Blocks;
  // 20 + 3e-3 b against 40 + 2 × 3e-3 b / 4: equal at b = 13,333.
  CHECK(predictUs(whole, 13'000, shape, figures) < predictUs(blocks, 13'000, shape, figures));
  CHECK(predictUs(whole, 13'700, shape, figures) > predictUs(blocks, 13'700, shape, figures));
}

TEST("between hosts that are far apart, each host's share crosses once") {
  const GroupShape shape = shapeOf(8, true, true, 4);
  CostFigures figures;
  figures.host = {2, 1e-4};
  figures.cross = {50, 1e-3};
  figures.all = {120, 5e-3};
  figures.ring = {60, 2e-3};
  const Plan plan = makePlan(shape, figures);
  CHECK_EQ(choiceName(plan.ordered.at(4'096)), "exchange by levels, 4 × 2");
  CHECK_EQ(choiceName(plan.ordered.at(16 << 20)), "hierarchy, 4 × 2");
}

TEST("ranks that share cores send few messages below 64 KiB and few bytes from there on") {
  const auto chosen = [](int ranks, uint64_t bytes) {
    return choiceName(makePlan(shapeOf(ranks), figuresOfSharedCores(ranks)).ordered.at(bytes));
  };
  for (const uint64_t bytes : {64, 4'096, 32'768, 65'535}) {
    CHECK_EQ(chosen(3, bytes), "exchange");
    CHECK_EQ(chosen(4, bytes), "exchange by levels, 2 × 2");
    CHECK_EQ(chosen(6, bytes), "exchange by levels, 2 × 3");
    CHECK_EQ(chosen(8, bytes), "exchange by levels, 2 × 2 × 2");
  }
  for (const uint64_t bytes : {65'536, 1 << 20, 64 << 20}) {
    CHECK_EQ(chosen(3, bytes), "reduce-scatter and all-gather");
    CHECK_EQ(chosen(4, bytes), "hierarchy, 2 × 2");
    CHECK_EQ(chosen(6, bytes), "hierarchy, 2 × 3");
    CHECK_EQ(chosen(8, bytes), "hierarchy, 4 × 2");
  }
}

TEST("whatever is measured, a sum of floats leaves the tree's order only on a ring without a mesh, by its size alone") {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> us(0, 100);
  for (int i = 0; i < 300; ++i) {
    const int ranks = 2 + static_cast<int>(random() % 15);
    const bool wired = random() % 2, ring = wired || random() % 2;
    const GroupShape shape = shapeOf(ranks, wired, ring, ranks % 4 == 0 && random() % 2 ? 2 : 0);
    CostFigures figures;
    for (StepCost* cost : {&figures.all, &figures.pair, &figures.host, &figures.cross, &figures.ring}) {
      *cost = {us(random), us(random) / 1e4};
    }
    const Plan plan = makePlan(shape, figures);
    for (uint64_t bytes = 0; bytes < 1 << 24; bytes = bytes * 5 / 3 + 7) {
      const bool ringOrder = ranks > 2 && ring && !wired && bytes >= kRingOrderBytes;
      CHECK_EQ(plan.ordered.at(bytes).algorithm == Algorithm::Ring, ringOrder);
      CHECK(ring || plan.anyOrder.at(bytes).algorithm != Algorithm::Ring);
      // Contributions of all ranks are held at once: not without bound.
      CHECK(bytes < 2 * kRingOrderBytes || plan.anyOrder.at(bytes).algorithm != Algorithm::PassAround);
    }
  }
}

TEST("a call is counted in the bucket of its duration") {
  CHECK_EQ(histogramBucket(0), 0u);
  CHECK_EQ(histogramBucket(499), 0u);
  CHECK_EQ(histogramBucket(500), 1u);
  CHECK_EQ(histogramBucket(999), 1u);
  CHECK_EQ(histogramBucket(1'000), 2u);
  CHECK_EQ(histogramBucket(1'000'000), 11u);
  CHECK_EQ(histogramBucket(~uint64_t{0}), 31u);
}

TEST("a stopwatch counts what the clock does") {
  using Clock = std::chrono::steady_clock;
  const auto spinFor = [](std::chrono::milliseconds time) {
    for (const auto until = Clock::now() + time; Clock::now() < until;) {
    }
  };
  Stopwatch stopwatch;
  spinFor(std::chrono::milliseconds(5));
  stopwatch.learnRate();
  const auto outer = Clock::now();
  const uint64_t reading = stopwatch.read();
  const auto inner = Clock::now();
  spinFor(std::chrono::milliseconds(5));
  const auto least = Clock::now() - inner;
  const auto measured = stopwatch.since(reading);
  const auto most = Clock::now() - outer;
  CHECK(measured.count() * 100 >= least.count() * 95);
  CHECK(measured.count() * 100 <= most.count() * 105);
}

}  // namespace
}  // namespace espalier::test
