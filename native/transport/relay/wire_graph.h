#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace espalier::transport {

/// Which ranks of the first group have a wire to which. Every rank builds it from the same roster, so all of them
/// find the same routes.
class WireGraph {
 public:
  WireGraph() = default;
  /// Bit c of named[a]: rank a says that it has a wire to rank c. A wire is there only if both ends say so.
  explicit WireGraph(const std::vector<uint64_t>& named);

  int size() const { return static_cast<int>(wires_.size()); }
  bool wired(int a, int c) const { return (wires_[a] >> c & 1) != 0; }
  /// Every pair has a wire.
  bool complete() const;
  /// The ranks between `from` and `to` on their route, a shortest one, in that order. Empty where there is a wire
  /// or no way at all. The way back is the same.
  std::vector<int> between(int from, int to) const;
  /// Whether `rank` is on the route of any two others.
  bool relays(int rank) const;
  /// Empty when there is a way between any two; otherwise says which ranks have none: "0, 1 | 2, 3".
  std::string separateParts() const;
  /// The wires among `members`, counted anew in their order.
  WireGraph among(const std::vector<int>& members) const;
  /// A cycle of wires through all ranks, from rank 0 on; empty when there is none, or none was found within a bounded
  /// search. Of several, the one that is first in lexical order.
  std::vector<int> ring() const;
  /// For each rank its neighbour on a shortest way to `root`, the lowest of several; -1 for the root itself.
  std::vector<int> treeFrom(int root) const;

 private:
  std::vector<int> distancesFrom(int rank) const;

  std::vector<uint64_t> wires_;
};

}  // namespace espalier::transport
