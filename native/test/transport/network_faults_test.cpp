#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "test/transport/faults.h"
#include "test/transport/network.h"

namespace espalier::test {
namespace {

using Plane = Network::Plane;

constexpr int kHosts = 3;
constexpr int kFaultTime = 60;

/// A group of three hosts, one of whose ways breaks while it works.
struct Outage {
  std::string what;
  std::function<void(const Network&, const Processes&)> strike;
  std::vector<int> guilty;     ///< one of these is to blame
  std::vector<int> dead = {};  ///< no survivors
  Network network{kHosts};
  SharedBoard board;
  std::unique_ptr<Processes> ranks;
};

void runRank(Outage& outage, int rank) {
  Board* board = outage.board.get();
  outage.network.enter(rank);
  const int descriptors = descriptorsOfThisProcess();
  GroupOptions options = optionsFor(rank, kHosts, LinkKind::Tcp, board);
  options.rendezvousHost = outage.network.address(0, Plane::Side);
  options.dataHost = outage.network.address(rank, Plane::Data);
  options.hostId = "host " + std::to_string(rank);
  auto group = join(options);
  std::vector<float> data(3'000, 1.0f);
  Status status;
  while (status.ok()) {
    status = group->allReduce(data.data(), data.data(), data.size(), transport::DataType::Float32,
                              transport::ReduceOp::Max);
    board->marks[rank]++;
  }
  post(board, rank, status);
  if (status.rank != rank) CHECK_EQ(status.link, "tcp");
  endQuietly(std::move(group), status, descriptors);
}

void check(Outage& outage) {
  outage.ranks->join(10, outage.dead);
  for (int rank = 0; rank < kHosts; ++rank) {
    if (std::find(outage.dead.begin(), outage.dead.end(), rank) != outage.dead.end()) continue;
    const std::string code = outage.board->codes[rank], text = outage.board->text[rank];
    const int guilty = outage.board->guilty[rank];
    const double seconds = secondsBetween(outage.board->times[kFaultTime], outage.board->times[rank]);
    const std::string all = "rank " + std::to_string(rank) + " after " + std::to_string(seconds) + " s: " + code + ": " +
                            text + " (blames " + std::to_string(guilty) + ")";
    const bool named = std::find(outage.guilty.begin(), outage.guilty.end(), guilty) != outage.guilty.end() &&
                       text.find("rank " + std::to_string(guilty)) != std::string::npos;
    const bool known = code == "PeerStopped" || code == "PeerLost" || code == "DataLost";
    if (!named || !known || seconds > boundSeconds()) throw CheckFailure(all);
  }
}

/// All at once: most of the time they wait.
void runAll(std::vector<std::unique_ptr<Outage>> outages) {
  for (auto& outage : outages) {
    outage->ranks = std::make_unique<Processes>(kHosts, [&](int rank) { runRank(*outage, rank); });
  }
  for (auto& outage : outages) {
    eventually("all ranks work", 20, [&] {
      for (int rank = 0; rank < kHosts; ++rank) {
        if (outage->board->marks[rank] < 20) return false;
      }
      return true;
    });
    outage->board->times[kFaultTime] = nowNs();
    outage->strike(outage->network, *outage->ranks);
  }
  for (auto& outage : outages) {
    try {
      check(*outage);
    } catch (const std::exception& error) {
      throw CheckFailure(outage->what + ": " + error.what());
    }
  }
}

std::unique_ptr<Outage> cutting(std::vector<std::pair<int, int>> ways, Plane plane) {
  std::string what;
  for (const auto& [from, to] : ways) what += "cut from " + std::to_string(from) + " to " + std::to_string(to) + " ";
  auto outage = std::make_unique<Outage>();
  outage->what = what + (plane == Plane::Data ? "of data alone" : "");
  outage->guilty = {ways[0].first, ways[0].second};
  outage->strike = [ways, plane](const Network& network, const Processes&) {
    for (const auto& [from, to] : ways) network.cut(from, to, plane);
  };
  return outage;
}

TEST("netns: a route that drops in both directions is an error on every rank") {
  if (!Network::possible()) return;
  std::vector<std::unique_ptr<Outage>> outages;
  outages.push_back(cutting({{0, 2}, {2, 0}}, Plane::Both));
  outages.push_back(cutting({{1, 2}, {2, 1}}, Plane::Both));
  runAll(std::move(outages));
}

TEST("netns: a route that drops in one direction is an error on every rank") {
  if (!Network::possible()) return;
  std::vector<std::unique_ptr<Outage>> outages;
  outages.push_back(cutting({{0, 2}}, Plane::Both));
  outages.push_back(cutting({{2, 0}}, Plane::Both));
  outages.push_back(cutting({{1, 2}}, Plane::Both));
  runAll(std::move(outages));
}

TEST("netns: data that vanishes though the side channel works is an error on every rank") {
  if (!Network::possible()) return;
  std::vector<std::unique_ptr<Outage>> outages;
  outages.push_back(cutting({{0, 1}}, Plane::Data));
  outages.push_back(cutting({{1, 0}}, Plane::Data));
  outages.push_back(cutting({{2, 1}}, Plane::Data));
  outages.push_back(cutting({{1, 2}, {2, 1}}, Plane::Data));
  runAll(std::move(outages));
}

TEST("netns: a cable that is pulled is an error on every rank, its own too") {
  if (!Network::possible()) return;
  std::vector<std::unique_ptr<Outage>> outages;
  for (const int host : {0, 2}) {
    auto outage = std::make_unique<Outage>();
    outage->what = "cable of " + std::to_string(host);
    outage->guilty = {0, 1, 2};  // seen from the one that was cut off it is any other
    outage->strike = [host](const Network& network, const Processes&) { network.unplug(host); };
    outages.push_back(std::move(outage));
  }
  runAll(std::move(outages));
}

TEST("netns: a host that loses power and comes back is an error on every survivor") {
  if (!Network::possible()) return;
  std::vector<std::unique_ptr<Outage>> outages;
  for (const int host : {0, 2}) {
    auto outage = std::make_unique<Outage>();
    outage->what = "power of " + std::to_string(host);
    outage->guilty = {host};
    outage->dead = {host};
    outage->strike = [host](const Network& network, const Processes& ranks) {
      network.unplug(host);
      ranks.signal(host, SIGKILL);
      usleep(300'000);  // what the dying process said is lost
      network.plugIn(host);
    };
    outages.push_back(std::move(outage));
  }
  runAll(std::move(outages));
}

}  // namespace
}  // namespace espalier::test
