#include <algorithm>
#include <unistd.h>

#include <numeric>
#include <optional>
#include <random>

#include "test/transport/product.h"
#include "test/transport/shapes.h"
#include "transport/collectives/plan.h"

/// One suite over links × rank counts × wires × hosts × types × sizes, every collective in each cell.
namespace espalier::test {
namespace {

using transport::GroupStats;
using transport::kRingOrderBytes;

/// Which ranks share a host.
enum class Layout { OneHost, EachItsOwn, Pairs, Fours, Uneven };
constexpr Layout kAllLayouts[] = {Layout::OneHost, Layout::EachItsOwn, Layout::Pairs, Layout::Fours, Layout::Uneven};
constexpr const char* kLayoutNames[] = {"one host", "a host each", "pairs", "fours", "uneven"};

std::string hostOf(Layout layout, int rank) {
  switch (layout) {
    case Layout::OneHost: return "host";
    case Layout::EachItsOwn: return "host " + std::to_string(rank);
    case Layout::Pairs: return "host " + std::to_string(rank / 2);
    case Layout::Fours: return "host " + std::to_string(rank / 4);
    case Layout::Uneven: return rank < 3 ? "host" : "host " + std::to_string(rank / 2);
  }
  return "";
}

struct Cell {
  std::vector<LinkKind> links;
  int size;
  Shape shape;
  Layout layout;
  bool processes;
  uint32_t seed;  ///< of the types and sizes

  std::string name() const {
    return std::string(links.size() > 1 ? "shm and tcp" : nameOf(links[0])) + ", " + std::to_string(size) + " ranks as " +
           (processes ? "processes, " : "threads, ") + nameOf(shape) + ", " +
           kLayoutNames[static_cast<int>(layout)] + ", seed " + std::to_string(seed);
  }
};

/// Just below, at and above every size from which on this group does something else.
std::vector<size_t> sizesAround(const GroupStats& stats, size_t most) {
  std::vector<size_t> sizes = {0, 1, 40, 4'096};
  for (const auto& one : stats.algorithms) {
    for (const uint64_t bytes : {one.fromBytes - 8, one.fromBytes, one.fromBytes + 8}) {
      if (one.fromBytes > 0 && bytes <= most) sizes.push_back(bytes);
    }
  }
  sizes.push_back(most);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  return sizes;
}

void checkCell(const Cell& cell, Group& group, bool everyType) {
  std::mt19937 random(cell.seed);
  const size_t most = everyType ? 1'500'000 : cell.size > 8 ? 100'000 : 400'000;
  const bool sparseRing = cell.shape == Shape::Ring && cell.size > 3;
  for (const size_t bytes : sizesAround(group.stats(), most)) {
    // A size is one of all ranks' calls: what one rank draws, all must.
    const size_t drawn = random() % std::size(kAllTypes);
    for (size_t i = 0; i < std::size(kAllTypes); ++i) {
      if (!everyType && i != drawn && i != 0) continue;
      withType(kAllTypes[i], [&](auto zero) {
        using T = decltype(zero);
        const size_t count = bytes / sizeof(T);
        const bool exact = std::is_integral_v<T> || !sparseRing;
        TreeOrder tree;
        tree.allReduce = exact || count * sizeof(T) < kRingOrderBytes;
        tree.reduceScatter = exact || count / cell.size * cell.size * sizeof(T) < kRingOrderBytes;
        const std::string what = cell.name() + ": type " + std::to_string(i) + " × " + std::to_string(count) + ",";
        checkReduce<T>(group, kAllTypes[i], count, ReduceOp::Sum, tree, what);
        if (bytes == 4'096 && !std::is_same_v<T, std::complex<float>>) {
          checkReduce<T>(group, kAllTypes[i], count, ReduceOp::Max, {}, what + " max");
          checkReduce<T>(group, kAllTypes[i], count, ReduceOp::Min, {}, what + " min");
        }
        checkTransfers<T>(group, kAllTypes[i], count, what);
      });
    }
  }
  CHECK_OK(group.barrier());
}

void runCell(const Cell& cell, bool everyType) {
  SharedBoard board;
  const auto body = [&](int rank) {
    GroupOptions options = shapedOptions(cell.shape, rank, cell.size, cell.links[0], board.get());
    options.links = cell.links;
    options.hostId = hostOf(cell.layout, rank);
    options.operationTimeoutMs = 60'000;
    checkCell(cell, *join(options), everyType);
  };
  try {
    if (cell.processes) {
      Processes ranks(cell.size, body);
      ranks.join(120);
    } else {
      runThreads(cell.size, body);
    }
  } catch (const std::exception& error) {
    throw CheckFailure("in " + cell.name() + ": " + error.what());
  }
}

/// The cell of number `index` of the full product, or none where the links cannot join the hosts.
std::optional<Cell> cellAt(size_t index, uint32_t seed) {
  const std::vector<LinkKind> kinds[] = {
      {LinkKind::Tcp}, {LinkKind::SharedMemory}, {LinkKind::SharedMemory, LinkKind::Tcp}};
  const auto draw = [&](size_t count) {
    const size_t drawn = index % count;
    index /= count;
    return drawn;
  };
  Cell cell;
  cell.links = kinds[draw(std::size(kinds))];
  cell.shape = kAllShapes[draw(std::size(kAllShapes))];
  cell.layout = kAllLayouts[draw(std::size(kAllLayouts))];
  cell.size = 2 + static_cast<int>(draw(15));
  cell.processes = draw(2) != 0;
  cell.seed = seed;
  const bool onlyShm = cell.links.size() == 1 && cell.links[0] == LinkKind::SharedMemory;
  if (onlyShm && cell.layout != Layout::OneHost) return std::nullopt;
  return cell;
}
constexpr size_t kCells = 3 * 5 * 5 * 15 * 2;

TEST("a sample of all links, wires, hosts, types and sizes gives the promised bits") {
  const auto seed = static_cast<uint32_t>(seedOr(41));
  std::mt19937 random(seed);
  const int64_t until = nowNs() + 2'500'000'000;
  for (int ran = 0; ran < 40 && (ran < 3 || nowNs() < until);) {
    const auto cell = cellAt(random() % kCells, seed);
    if (!cell) continue;
    runCell(*cell, false);
    ++ran;
  }
}

TEST("sixteen ranks on few cores neither hang nor take long") {
  runCell({{LinkKind::Tcp}, 16, Shape::Full, Layout::OneHost, false, 1}, false);
  runCell({{LinkKind::SharedMemory, LinkKind::Tcp}, 16, Shape::Full, Layout::Fours, true, 1}, false);
}

/// The whole product takes half an hour: a run goes through it for as long as this, in an order that the seed decides.
constexpr int64_t kProductForNs = 40'000'000'000;

TEST("slow: the product of links, wires, hosts, ranks, types and sizes, in a random order") {
  const auto seed = static_cast<uint32_t>(seedOr(42));
  std::vector<size_t> order(kCells);
  std::iota(order.begin(), order.end(), size_t{0});
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  const int64_t until = nowNs() + kProductForNs;
  for (size_t i = 0; i < kCells && nowNs() < until; ++i) {
    const auto cell = cellAt(order[i], seed);
    // Processes behave as threads do but for the memory they share: every eleventh of them.
    if (cell && (!cell->processes || order[i] % 11 == 0)) runCell(*cell, cell->size <= 4);
  }
}

}  // namespace
}  // namespace espalier::test
