#include "transport/relay/wire_graph.h"

#include <algorithm>

namespace espalier::transport {
namespace {

constexpr uint64_t rankBit(int rank) { return uint64_t{1} << rank; }

/// Looks for a cycle step by step. Exponential in the worst case, hence the bound: no graph of up to 16 ranks that
/// anybody cables needs a hundredth of it.
class CycleSearch {
 public:
  explicit CycleSearch(const WireGraph& graph) : graph_(graph) {}

  std::vector<int> run() {
    path_ = {0};
    used_ = 1;
    return extend() ? path_ : std::vector<int>{};
  }

 private:
  bool extend() {
    const int count = graph_.size();
    if (static_cast<int>(path_.size()) == count) return graph_.wired(path_.back(), 0);
    for (int next = 1; next < count && ++steps_ < kMostSteps; ++next) {
      if ((used_ & rankBit(next)) != 0 || !graph_.wired(path_.back(), next)) continue;
      path_.push_back(next);
      used_ |= rankBit(next);
      if (extend()) return true;
      used_ &= ~rankBit(next);
      path_.pop_back();
    }
    return false;
  }

  static constexpr int kMostSteps = 200'000;
  const WireGraph& graph_;
  std::vector<int> path_;
  uint64_t used_ = 0;
  int steps_ = 0;
};

}  // namespace

WireGraph::WireGraph(const std::vector<uint64_t>& named) : wires_(named.size()) {
  for (int a = 0; a < size(); ++a) {
    for (int c = 0; c < size(); ++c) {
      if (a != c && (named[a] & rankBit(c)) != 0 && (named[c] & rankBit(a)) != 0) wires_[a] |= rankBit(c);
    }
  }
}

bool WireGraph::complete() const {
  for (int a = 0; a < size(); ++a) {
    for (int c = 0; c < a; ++c) {
      if (!wired(a, c)) return false;
    }
  }
  return true;
}

std::vector<int> WireGraph::distancesFrom(int rank) const {
  std::vector<int> distance(wires_.size(), -1), queue = {rank};
  distance[rank] = 0;
  for (size_t at = 0; at < queue.size(); ++at) {
    for (int next = 0; next < size(); ++next) {
      if (distance[next] >= 0 || !wired(queue[at], next)) continue;
      distance[next] = distance[queue[at]] + 1;
      queue.push_back(next);
    }
  }
  return distance;
}

std::vector<int> WireGraph::between(int from, int to) const {
  // Always worked out from the lower end, so that both ends find the same route.
  const int low = std::min(from, to), high = std::max(from, to);
  const std::vector<int> left = distancesFrom(high);
  std::vector<int> route;
  for (int at = low; left[low] > 0 && left[at] > 1;) {
    int next = 0;
    while (!wired(at, next) || left[next] != left[at] - 1) ++next;
    route.push_back(next);
    at = next;
  }
  if (from != low) std::reverse(route.begin(), route.end());
  return route;
}

bool WireGraph::relays(int rank) const {
  for (int a = 0; a < size(); ++a) {
    for (int c = 0; c < a; ++c) {
      const std::vector<int> route = between(c, a);
      if (std::find(route.begin(), route.end(), rank) != route.end()) return true;
    }
  }
  return false;
}

std::string WireGraph::separateParts() const {
  std::string text;
  uint64_t seen = 0;
  int parts = 0;
  for (int first = 0; first < size(); ++first) {
    if ((seen & rankBit(first)) != 0) continue;
    text += ++parts > 1 ? " | " : "";
    const std::vector<int> distance = distancesFrom(first);
    for (int rank = first; rank < size(); ++rank) {
      if (distance[rank] < 0) continue;
      seen |= rankBit(rank);
      text += (rank == first ? "" : ", ") + std::to_string(rank);
    }
  }
  return parts > 1 ? text : "";
}

WireGraph WireGraph::among(const std::vector<int>& members) const {
  std::vector<uint64_t> named(members.size(), 0);
  for (size_t a = 0; a < members.size(); ++a) {
    for (size_t c = 0; c < members.size(); ++c) {
      if (wired(members[a], members[c])) named[a] |= uint64_t{1} << c;
    }
  }
  return WireGraph(named);
}

std::vector<int> WireGraph::ring() const { return CycleSearch(*this).run(); }

std::vector<int> WireGraph::treeFrom(int root) const {
  const std::vector<int> distance = distancesFrom(root);
  std::vector<int> towards(wires_.size(), -1);
  for (int rank = 0; rank < size(); ++rank) {
    for (int next = size() - 1; next >= 0; --next) {
      if (wired(rank, next) && distance[next] == distance[rank] - 1) towards[rank] = next;
    }
  }
  return towards;
}

}  // namespace espalier::transport
