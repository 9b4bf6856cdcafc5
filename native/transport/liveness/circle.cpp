#include "transport/liveness/circle.h"

#include <map>
#include <tuple>
#include <utility>

namespace espalier::transport {

std::vector<int> circleOfReceives(std::span<const FlowReport> reports) {
  std::map<std::tuple<uint64_t, int, int>, uint32_t> begun;
  for (const FlowReport& report : reports) begun[{report.groupId, report.from, report.to}] = report.begun;
  std::map<std::pair<uint64_t, int>, int> waitsFor;
  for (const FlowReport& report : reports) {
    const auto found = begun.find({report.groupId, report.to, report.from});
    const bool notBegun = found != begun.end() && report.awaits == found->second + 1;
    if (report.awaits != 0 && notBegun) waitsFor[{report.groupId, report.from}] = report.to;
  }
  for (const auto& waiting : waitsFor) {
    const auto [group, first] = waiting.first;
    std::vector<int> chain;
    // Ends, comes round to where it began, or goes round in a circle that it did not begin in.
    for (int rank = first; chain.size() <= waitsFor.size() && waitsFor.contains({group, rank}); rank = waitsFor[{group, rank}]) {
      if (rank == first && !chain.empty()) return chain;
      chain.push_back(rank);
    }
  }
  return {};
}

}  // namespace espalier::transport
