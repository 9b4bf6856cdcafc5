#include "transport/collectives/plan.h"

#include <algorithm>
#include <bit>

namespace espalier::transport {
namespace {

constexpr uint64_t kSmallestSize = 64;
/// Everybody's contribution is held at once.
constexpr uint64_t kMostPassedBytes = kRingOrderBytes;
constexpr uint64_t kLargestSize = 256 * 1024 * 1024;
/// Where ranks share cores, everybody's work adds up, and a message is most of it: with its two system calls and the
/// change of process to who takes it, as much as 16 KiB more to carry. These are microseconds of four ranks on two
/// cores that others use as well; only their ratios matter to a plan.
constexpr double kSharedStepUs = 10, kSharedMessageUs = 40, kSharedUsPerByte = kSharedMessageUs / (16 * 1024);
/// A plan changes its mind only for a gain beyond what the measurement can tell.
constexpr double kWorthwhile = 0.97;

Choice exchangeBy(std::initializer_list<int> radices) {
  Choice choice;
  for (const int radix : radices) choice.levels.radix[choice.levels.count++] = static_cast<uint8_t>(radix);
  return choice;
}

Choice pairwise(int ranks) {
  Choice choice;
  for (int left = ranks; left > 1; left /= 2) choice.levels.radix[choice.levels.count++] = 2;
  return choice;
}

Choice by(Algorithm algorithm, const Choice& levels) {
  Choice choice = levels;
  choice.algorithm = algorithm;
  return choice;
}

/// A step in teams of `size`, from what was measured of teams of two and of all: each further peer costs the same.
StepCost stepOf(int size, const GroupShape& shape, const CostFigures& figures) {
  if (size == shape.ranks || shape.ranks <= 2) return figures.all;
  const double share = static_cast<double>(size - 2) / (shape.ranks - 2);
  return {figures.pair.startUs + share * (figures.all.startUs - figures.pair.startUs),
          figures.pair.usPerByte + share * (figures.all.usPerByte - figures.pair.usPerByte)};
}

StepCost levelStep(const Choice& choice, int level, const GroupShape& shape, const CostFigures& figures) {
  if (shape.perHost > 0 && choice.levels.count == 2) return level == 0 ? figures.host : figures.cross;
  return stepOf(choice.levels.radix[level], shape, figures);
}

double hierarchyUs(const Choice& choice, double bytes, const GroupShape& shape, const CostFigures& figures) {
  const double inside = choice.levels.radix[0], hosts = choice.levels.radix[1];
  const double share = bytes / inside;
  const StepCost inner = levelStep(choice, 0, shape, figures), outer = levelStep(choice, 1, shape, figures);
  const double across = hosts > 2 ? 2 * outer.of(share / hosts) : outer.of(share);
  const double outside = across + figures.reduceUsPerByte * share * (hosts - 1);
  // A team's all-reduce in two halves: one more start.
  if (shape.hostTeams) return inner.startUs + inner.of(bytes) + outside;
  return 2 * inner.of(share) + figures.reduceUsPerByte * share * (inside - 1) + outside;
}

bool sameWay(const Choice& a, const Choice& b) { return a.algorithm == b.algorithm && a.levels == b.levels; }

}  // namespace

std::string levelsName(const Levels& levels) {
  std::string text;
  for (int level = 0; level < levels.count; ++level) {
    text += (level == 0 ? "" : " × ") + std::to_string(levels.radix[level]);
  }
  return text;
}

std::string choiceName(const Choice& choice) {
  switch (choice.algorithm) {
    case Algorithm::Exchange:
      return choice.levels.count == 1 ? "exchange" : "exchange by levels, " + levelsName(choice.levels);
    case Algorithm::Blocks: return "reduce-scatter and all-gather";
    case Algorithm::Hierarchy: return "hierarchy, " + levelsName(choice.levels);
    case Algorithm::PassAround: return "passing around the ring";
    case Algorithm::Ring: return "ring";
  }
  return "";
}

Team teamOf(int rank, const Levels& levels, int level) {
  int stride = 1;
  for (int below = 0; below < level; ++below) stride *= levels.radix[below];
  Team team;
  team.self = rank / stride % levels.radix[level];
  const int first = rank - team.self * stride;
  for (int digit = 0; digit < levels.radix[level]; ++digit) team.ranks.push_back(first + digit * stride);
  return team;
}

const Choice& Plan::Table::at(uint64_t bytes) const {
  size_t index = 0;
  while (index + 1 < count && choices[index + 1].fromBytes <= bytes) ++index;
  return choices[index];
}

std::vector<Choice> candidates(const GroupShape& shape, bool anyOrder, uint64_t bytes) {
  const int n = shape.ranks;
  const Choice whole = exchangeBy({n});
  const bool sparseRing = n > 2 && shape.ringOfWires && !shape.everyPairWired;
  if (sparseRing && !anyOrder && bytes >= kRingOrderBytes) return {by(Algorithm::Ring, whole)};
  std::vector<Choice> all = {whole};
  if (n < 2) return all;
  all.push_back(by(Algorithm::Blocks, whole));
  if (shape.perHost > 0) {
    const Choice levels = exchangeBy({shape.perHost, n / shape.perHost});
    all.push_back(levels);
    all.push_back(by(Algorithm::Hierarchy, levels));
  } else if (shape.everyPairWired && shape.uniform) {
    for (const int first : {2, 4, 8}) {
      if (n % first != 0 || n / first < 2) continue;
      const Choice levels = exchangeBy({first, n / first});
      all.push_back(levels);
      all.push_back(by(Algorithm::Hierarchy, levels));
    }
    if (n > 4 && std::has_single_bit(static_cast<unsigned>(n))) all.push_back(pairwise(n));
  }
  if (n > 2 && shape.ringOfWires) {
    if (bytes <= kMostPassedBytes) all.push_back(by(Algorithm::PassAround, whole));
    if (anyOrder) all.push_back(by(Algorithm::Ring, whole));
  }
  return all;
}

double predictUs(const Choice& choice, double bytes, const GroupShape& shape, const CostFigures& figures) {
  const double n = shape.ranks, others = n - 1, reduce = figures.reduceUsPerByte;
  switch (choice.algorithm) {
    case Algorithm::Exchange: {
      double us = 0;
      for (int level = 0; level < choice.levels.count; ++level) {
        const bool reducesItself = shape.hostTeams && choice.levels.count == 2 && level == 0;
        us += levelStep(choice, level, shape, figures).of(bytes);
        if (!reducesItself) us += reduce * bytes * (choice.levels.radix[level] - 1);
      }
      return us;
    }
    case Algorithm::Blocks: return 2 * figures.all.of(bytes / n) + reduce * bytes / n * others;
    case Algorithm::Hierarchy: return hierarchyUs(choice, bytes, shape, figures);
    case Algorithm::PassAround: {
      // Half of the contributions come from either side.
      const int steps = shape.ranks / 2;
      return steps * figures.ring.startUs + others / 2 * bytes * figures.ring.usPerByte + reduce * bytes * others;
    }
    case Algorithm::Ring:
      return others * figures.ring.of(bytes / n / 2) + shape.ranks / 2 * figures.ring.startUs +
             others * bytes / n / 2 * figures.ring.usPerByte + reduce * bytes / n * others;
  }
  return 0;
}

namespace {

Plan::Table makeTable(const GroupShape& shape, const CostFigures& figures, bool anyOrder) {
  Plan::Table table;
  for (uint64_t bytes = kSmallestSize; bytes <= kLargestSize; bytes *= 2) {
    const std::vector<Choice> all = candidates(shape, anyOrder, bytes);
    const auto cost = [&](const Choice& choice) {
      return predictUs(choice, static_cast<double>(bytes), shape, figures);
    };
    Choice best = *std::min_element(all.begin(), all.end(),
                                    [&](const Choice& a, const Choice& b) { return cost(a) < cost(b); });
    if (table.count > 0) {
      const Choice& current = table.choices[table.count - 1];
      const bool stays = std::any_of(all.begin(), all.end(), [&](const Choice& one) { return sameWay(one, current); });
      const bool gains = !sameWay(best, current) && cost(best) < kWorthwhile * cost(current);
      if (stays && !gains) continue;
      best.fromBytes = bytes;
    }
    table.choices[table.count++] = best;
  }
  return table;
}

}  // namespace

CostFigures figuresOfSharedCores(int ranks) {
  const auto among = [](int peers) { return StepCost{kSharedStepUs + peers * kSharedMessageUs, peers * kSharedUsPerByte}; };
  CostFigures figures;
  figures.all = among(ranks - 1);
  figures.pair = among(1);
  figures.ring = among(2);
  return figures;
}

Plan makePlan(const GroupShape& shape, const CostFigures& figures) {
  return {makeTable(shape, figures, false), makeTable(shape, figures, true)};
}

Plan plainPlan(int ranks) {
  Plan plan;
  for (Plan::Table* table : {&plan.ordered, &plan.anyOrder}) {
    table->choices[0] = exchangeBy({ranks});
    table->count = 1;
  }
  return plan;
}

}  // namespace espalier::transport
