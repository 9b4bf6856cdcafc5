#include "bench/perf/tournament.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <list>
#include <sstream>
#include <thread>

#include "bench/perf/peers.h"
#include "bench/perf/rounds.h"

namespace espalier::perf {
namespace {

/// Tries to find out how many calls fill the budget; each may meet another process on its core.
constexpr int kCountingPasses = 3;
constexpr uint32_t kLeastUnits = 2, kMostUnits = 4'000;
/// A call that takes this long has no use for a warm-up: what it moves fits into no cache.
constexpr double kLongCallUs = 5'000;
/// A cell of large messages, or on a machine that is busy with other things, ends early; these rounds are the least.
constexpr double kCellUs = 12e6;
constexpr int kLeastRounds = 5;

bool hasFloor(const Cell& cell) {
  return cell.ranks == 2 && cell.inPlace == 0 &&
         (cell.collective == Collective::AllReduce || cell.collective == Collective::Send);
}

bool isInstalled(const char* program) {
  const std::string command = std::string("command -v ") + program + " > /dev/null 2>&1";
  return std::system(command.c_str()) == 0;
}

/// All contenders on one link with one number of ranks.
class Heat {
 public:
  Heat(Stage& stage, const Options& options, const Listener& listener, LinkKind link, int ranks)
      : stage_(stage), options_(options), listener_(listener), link_(link), ranks_(ranks) {}

  std::string open() {
    listener_.onProgress("starting contenders, " + std::string(nameOf(link_)) + ", " + std::to_string(ranks_) + " ranks");
    std::string why = add({.library = "espalier", .link = link_, .ranks = ranks_}, &ours_);
    if (!why.empty()) return why;
    // It takes the probes too, so it is there even when the bare exchanges are not asked for.
    if (ranks_ == 2 && std::thread::hardware_concurrency() >= 2) {
      why = add({.library = "floor", .link = link_, .ranks = ranks_}, &floor_);
      if (!why.empty()) return why;
    }
    if (link_ == LinkKind::Verbs && options_.hasFloor && ranks_ == 2) addPerftest();
    for (const std::string& peer : options_.peers) addPeer(peer);
    return interruption() != 0 ? "interrupted" : "";
  }

  std::string measure(const Cell& cell, std::vector<Result>& results) {
    std::list<Entry> entries = entriesOf(cell);
    if (std::string why = prepare(entries); !why.empty()) return why;
    const int most = floor_ != nullptr ? options_.rounds * 2 : options_.rounds;
    std::vector<Round> rounds;
    std::ostringstream title;
    title << nameOf(cell.collective) << ", " << nameOf(cell.link) << ", " << cell.ranks << " ranks, "
          << nameOf(cell.type) << ", " << cell.bytes << " bytes";
    std::vector<bool> counts;
    const double untilUs = nowUs() + kCellUs;
    for (int round = 0; round < most && (round < kLeastRounds || nowUs() < untilUs); ++round) {
      listener_.onProgress(title.str() + ", round " + std::to_string(round + 1));
      if (std::string why = playRound(round, entries, rounds); !why.empty()) return why;
      counts = choose(rounds);
      if (std::count(counts.begin(), counts.end(), true) >= options_.rounds) break;
    }
    keepBest(entries, rounds, counts, results);
    return "";
  }

 private:
  std::string add(const CrewSpec& spec, Crew** place) {
    crews_.push_back(std::make_unique<Crew>(stage_, static_cast<int>(crews_.size()), spec));
    *place = crews_.back().get();
    return (*place)->start();
  }

  void addPerftest() {
    if (!isInstalled("ib_send_lat")) {
      listener_.onNotice("no floor for verbs: ib_send_lat is not installed (package perftest on Debian)");
      return;
    }
    std::string why = add({.library = "floor", .variant = "ib_send_lat", .link = link_, .ranks = ranks_,
                           .isPerftest = true}, &perftest_);
    if (why.empty()) return;
    perftest_ = nullptr;
    listener_.onNotice(why);
  }

  void addPeer(const std::string& peer) {
    std::string why;
    for (const CrewSpec& spec : peerSpecs(peer, link_, ranks_, why)) {
      const bool isAllReduceOnly = !spec.variant.empty();
      const auto& asked = options_.collectives;
      if (isAllReduceOnly && std::count(asked.begin(), asked.end(), Collective::AllReduce) == 0) continue;
      Crew* crew = nullptr;
      why = interruption() != 0 ? "" : add(spec, &crew);
      if (why.empty() && crew != nullptr) peers_.push_back(crew);
      if (!why.empty()) listener_.onNotice(why);
      why.clear();
    }
    if (!why.empty()) listener_.onNotice(why);
  }

  std::list<Entry> entriesOf(const Cell& cell) {
    std::list<Entry> entries;
    const auto enter = [&](Crew* crew, Buffers buffers) {
      Cell mine = cell;
      mine.buffers = buffers;
      entries.push_back({.crew = crew, .cell = mine});
    };
    for (const Buffers buffers : options_.buffers) {
      enter(ours_, buffers);
      const bool fits = buffers == Buffers::Any ||
                        (cell.link == LinkKind::SharedMemory && cell.collective == Collective::AllReduce);
      if (floor_ != nullptr && options_.hasFloor && cell.link != LinkKind::Verbs && hasFloor(cell) && fits) {
        enter(floor_, buffers);
      }
    }
    // It sends from memory that was registered before: what a transport hands out.
    if (perftest_ != nullptr && hasFloor(cell)) enter(perftest_, Buffers::Own);
    for (Crew* peer : peers_) {
      if (peer->spec().variant.empty() || cell.collective == Collective::AllReduce) enter(peer, Buffers::Any);
    }
    return entries;
  }

  /// Says why when our own library failed; a peer that failed is told of and left out from here on.
  std::string judge(const std::string& why, std::list<Entry>& entries, Crew* crew) {
    if (why.empty() || crew == ours_ || crew == floor_ || interruption() != 0) return why;
    listener_.onNotice(why);
    if (crew == perftest_) perftest_ = nullptr;
    peers_.erase(std::remove(peers_.begin(), peers_.end(), crew), peers_.end());
    entries.remove_if([&](const Entry& entry) { return entry.crew == crew; });
    return "";
  }

  /// Buffers, a checked call, and how many units fill the budget.
  std::string prepare(std::list<Entry>& entries) {
    for (auto entry = entries.begin(); entry != entries.end();) {
      Crew* crew = entry->crew;
      const Entry current = *entry;
      ++entry;  // a peer that fails is removed
      Reply reply;
      std::string why = crew->order({.kind = Command::Kind::Prepare, .cell = current.cell}, reply);
      uint32_t units = kLeastUnits, warmups = 1;
      double leastUs = std::numeric_limits<double>::infinity();
      for (int pass = 0; pass < kCountingPasses && why.empty(); ++pass) {
        why = crew->order({.kind = Command::Kind::Measure, .warmups = warmups, .units = units, .cell = current.cell}, reply);
        // Not the mean: on a busy machine a call in which a rank lost its core would leave too few for a median.
        leastUs = std::min(leastUs, reply.minUs * callsPerUnit(current.cell));
        const double eachUs = std::max(leastUs, 0.05);
        units = static_cast<uint32_t>(
            std::clamp(options_.budgetMs * 1e3 / eachUs, double{kLeastUnits}, double{kMostUnits}));
        warmups = eachUs > kLongCallUs ? 0 : units < 20 ? 1 : 5;
        if (warmups == 0 && pass > 0) break;
      }
      if (why.empty()) {
        Entry& mine = *std::prev(entry);
        mine.units = units;
        mine.warmups = warmups;
      }
      if (why = judge(why, entries, crew); !why.empty()) return why;
    }
    return "";
  }

  std::string probe(double& us) {
    if (floor_ == nullptr) return "";
    Reply reply;
    std::string why = floor_->order({.kind = Command::Kind::Probe}, reply);
    us = reply.probeUs;
    return why;
  }

  std::string playRound(int number, std::list<Entry>& entries, std::vector<Round>& rounds) {
    Round round;
    std::string why = probe(round.probeBeforeUs);
    // Everybody is first once: what comes after a long call of another finds other caches.
    std::vector<Entry*> order;
    for (Entry& entry : entries) order.push_back(&entry);
    std::rotate(order.begin(), order.begin() + number % static_cast<int>(order.size()), order.end());
    for (Entry* entry : order) {
      if (!why.empty()) return why;
      Crew* crew = entry->crew;
      Reply reply;
      why = crew->order({.kind = Command::Kind::Measure, .warmups = entry->warmups, .units = entry->units,
                         .cell = entry->cell}, reply);
      if (why.empty()) {
        entry->samples.push_back({number, reply});
      } else {
        why = judge(why, entries, crew);
      }
    }
    if (why.empty()) why = probe(round.probeAfterUs);
    rounds.push_back(round);
    return why;
  }

  /// One result per library and kind of buffers: of a peer's variants the fastest.
  static void keepBest(const std::list<Entry>& entries, const std::vector<Round>& rounds,
                       const std::vector<bool>& counts, std::vector<Result>& results) {
    std::vector<Result> best;
    const auto perftest = std::find_if(entries.begin(), entries.end(),
                                       [](const Entry& entry) { return entry.crew->spec().isPerftest; });
    for (const Entry& entry : entries) {
      Result result = summarise(entry, rounds, counts);
      if (perftest != entries.end() && result.library == "espalier") result.overFloor = ratioOf(entry, *perftest, counts);
      const auto same = std::find_if(best.begin(), best.end(), [&](const Result& other) {
        return other.library == result.library && other.cell.buffers == result.cell.buffers;
      });
      if (same == best.end()) best.push_back(result);
      else if (result.medianUs < same->medianUs) *same = result;
    }
    results.insert(results.end(), best.begin(), best.end());
  }

  Stage& stage_;
  const Options& options_;
  const Listener& listener_;
  LinkKind link_;
  int ranks_;
  std::vector<std::unique_ptr<Crew>> crews_;
  Crew* ours_ = nullptr;
  Crew* floor_ = nullptr;
  Crew* perftest_ = nullptr;
  std::vector<Crew*> peers_;
};

std::vector<Cell> cellsOf(const Options& options, LinkKind link, int ranks) {
  std::vector<Cell> cells;
  for (const Collective collective : options.collectives) {
    const bool isBarrier = collective == Collective::Barrier;
    for (const DataType type : options.types) {
      for (const size_t bytes : options.sizes) {
        Cell cell{.collective = collective, .link = link, .type = type, .ranks = ranks};
        cell.bytes = isBarrier ? 0 : bytes;
        cell.inPlace = options.inPlace && collective == Collective::AllReduce ? 1 : 0;
        cells.push_back(cell);
        if (isBarrier) break;
      }
      if (isBarrier) break;
    }
  }
  return cells;
}

}  // namespace

std::string runTournament(const Options& options, const Listener& listener, std::vector<Result>& results) {
  Stage stage;
  std::string why = openStage(stage);
  stage.largestBytes = *std::max_element(options.sizes.begin(), options.sizes.end());
  stage.verbsDevices = options.verbsDevices;
  for (const int ranks : options.ranks) {
    for (const LinkKind link : options.links) {
      if (!why.empty()) break;
      Heat heat(stage, options, listener, link, ranks);
      why = heat.open();
      for (const Cell& cell : cellsOf(options, link, ranks)) {
        if (why.empty()) why = heat.measure(cell, results);
      }
    }
  }
  closeStage(stage);
  return why;
}

}  // namespace espalier::perf
