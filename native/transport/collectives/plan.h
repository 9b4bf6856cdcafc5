#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace espalier::transport {

/// How an all-reduce goes about it. All but Ring reduce in the order of the balanced tree over the ranks.
enum class Algorithm : uint8_t {
  /// Level by level, every rank of a team sends all it has to every other; with one level, everybody to everybody.
  Exchange,
  /// Each rank reduces a block and sends it back: reduce-scatter and all-gather, everybody with everybody.
  Blocks,
  /// Reduce-scatter within each team of the inner level (a host, or neighbours), all-reduce of the blocks across, and
  /// all-gather within.
  Hierarchy,
  /// Every rank's contribution is passed on both ways around the ring, then all is reduced at once.
  PassAround,
  /// Reduce-scatter and all-gather around the ring, half of each block either way. Reduces in ring order.
  Ring,
};

/// Sizes of the teams, innermost first: rank = digit 0 + radix 0 × (digit 1 + radix 1 × ...). A team of level j are
/// the ranks that differ in digit j alone. All radices but the last are powers of two, so that level upon level
/// reduces in the order of the balanced tree.
struct Levels {
  static constexpr int kMost = 6;
  uint8_t count = 0;
  std::array<uint8_t, kMost> radix{};

  bool operator==(const Levels&) const = default;
};

/// Ranks that exchange among themselves in one step, in rank order, and this rank's place among them.
struct Team {
  std::vector<int> ranks;
  int self = 0;

  int size() const { return static_cast<int>(ranks.size()); }
  /// Each starts with its right neighbour, so that not all of them write to the first one first.
  int peer(int step) const { return ranks[(self + step) % size()]; }
};
/// As "4 × 2".
std::string levelsName(const Levels& levels);
Team teamOf(int rank, const Levels& levels, int level);

/// What all ranks know alike of their group.
struct GroupShape {
  int ranks = 1;
  bool everyPairWired = true;
  bool ringOfWires = true;
  /// Ranks per host, if each host holds as many, a power of two, in one block of ranks, and there are several; else 0.
  int perHost = 0;
  /// Every host's ranks are a HostTeam.
  bool hostTeams = false;
  /// All pairs have the same kind of link, as far as can be told.
  bool uniform = true;
  /// All ranks are on one host that has fewer cores than them, and every pair is joined by TCP.
  bool sharesCores = false;
};

/// One step: each rank of a team sends a message to every other and waits for theirs.
struct StepCost {
  double startUs = 0;
  double usPerByte = 0;  ///< of the message to one peer

  double of(double bytes) const { return startUs + bytes * usPerByte; }
};

/// The figures that a plan is made from.
struct CostFigures {
  StepCost all;    ///< everybody with everybody
  StepCost pair;   ///< neighbours in pairs
  StepCost host;   ///< within each host; of a HostTeam a whole all-reduce
  StepCost cross;  ///< between hosts, each rank with those of its place on the others
  StepCost ring;   ///< both neighbours on the ring
  double reduceUsPerByte = 0;  ///< of one more input
};

/// From `fromBytes` on, until the next choice. Plain bytes: rank 0 decides and sends it to all.
struct Choice {
  uint64_t fromBytes = 0;
  Algorithm algorithm = Algorithm::Exchange;
  Levels levels;

  bool operator==(const Choice& other) const = default;
};

/// A sum of floats has the bits of its order. Where wires form a ring but no mesh, it is the tree's below this size
/// and the ring's from here on, whatever was measured: the bits of a sum must not depend on a stopwatch.
inline constexpr uint64_t kRingOrderBytes = 256 * 1024;

std::string choiceName(const Choice& choice);

/// The choices by size for one group.
struct Plan {
  static constexpr size_t kMost = 24;  ///< as many sizes are looked at, at most
  struct Table {
    std::array<Choice, kMost> choices{};
    uint64_t count = 0;
    const Choice& at(uint64_t bytes) const;
  };
  Table ordered;   ///< for floats, whose bits depend on the order
  Table anyOrder;  ///< for integers
};

/// What may be chosen for `bytes` in a group of this shape.
std::vector<Choice> candidates(const GroupShape& shape, bool anyOrder, uint64_t bytes);
/// Predicted microseconds of an all-reduce of `bytes`.
double predictUs(const Choice& choice, double bytes, const GroupShape& shape, const CostFigures& figures);
/// What stands for measured figures where ranks share cores.
CostFigures figuresOfSharedCores(int ranks);
/// The cheapest candidate for every size.
Plan makePlan(const GroupShape& shape, const CostFigures& figures);
/// What to do before anything was measured.
Plan plainPlan(int ranks);

}  // namespace espalier::transport
