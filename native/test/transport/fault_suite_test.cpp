#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "test/transport/faults.h"

namespace espalier::test {
namespace {

/// What befalls one rank of a group, at a random point of random collectives.
enum class Fault { Kill, Stop, Pause, HalfOpen, CorruptData, CorruptSide, Mismatch };
constexpr const char* kFaultNames[] = {"kill", "stop", "pause", "half-open", "corrupt data", "corrupt side", "mismatch"};

constexpr int kFaultMark = 60, kEndMark = 61;

struct Trial {
  Fault fault;
  LinkKind kind;
  uint64_t seed;
  int size = 0, victim = 0, calls = 0;
  double pausedSeconds = 0;
  SharedBoard board;
  std::unique_ptr<Processes> ranks;

  std::string name() const {
    return std::string(kFaultNames[static_cast<int>(fault)]) + " of rank " + std::to_string(victim) + " of " +
           std::to_string(size) + " over " + nameOf(kind) + " at call " + std::to_string(calls) + ", SEED " +
           std::to_string(seed);
  }
};

void strike(Trial& trial) {
  Board* board = trial.board.get();
  board->times[kFaultMark] = nowNs();
  board->marks[kFaultMark] = 1;
  const auto port = static_cast<uint16_t>(board->port);
  switch (trial.fault) {
    case Fault::Kill: kill(getpid(), SIGKILL); break;
    case Fault::Stop:
    case Fault::Pause: kill(getpid(), SIGSTOP); break;
    case Fault::HalfOpen: vanish(); break;
    case Fault::CorruptData: corruptConnection(Channel::Data, port, trial.seed); break;
    case Fault::CorruptSide: corruptConnection(Channel::Side, port, trial.seed); break;
    case Fault::Mismatch: break;  // the call itself is the fault
  }
}

/// Garbage may go to a split that has had its last message and reads no more: then it comes once more.
bool isDue(const Trial& trial, int call) {
  const bool again = trial.fault == Fault::CorruptData && call > trial.calls && (call - trial.calls) % 16 == 0;
  return call == trial.calls || again;
}

/// Makes calls until one fails, or all agree to end.
Status work(Trial& trial, Group& group) {
  Board* board = trial.board.get();
  RandomCalls calls(group, trial.seed);
  std::thread striker;
  Status status;
  bool end = false;
  for (int call = 0; status.ok() && !end; ++call) {
    const bool now = group.rank() == trial.victim && isDue(trial, call);
    const bool oddly = now && trial.fault == Fault::Mismatch;
    if (oddly) strike(trial);
    if (now && !oddly) {
      // From another thread, so that it comes before, in or after the call.
      if (striker.joinable()) striker.join();
      striker = std::thread([&] {
        usleep(static_cast<useconds_t>(trial.seed % 1'500));
        strike(trial);
      });
    }
    status = calls.next(oddly);
    if (status.ok() && call % 8 == 7) status = calls.askToEnd(board->marks[kEndMark] != 0, end);
  }
  if (striker.joinable()) striker.join();
  return status;
}

void runRank(Trial& trial, int rank) {
  Board* board = trial.board.get();
  const int descriptors = descriptorsOfThisProcess();
  auto group = join(optionsFor(rank, trial.size, trial.kind, board));
  const Status status = work(trial, *group);
  post(board, rank, status);
  if (!status.ok() && status.rank != rank) CHECK_EQ(status.link, nameOf(trial.kind));
  endQuietly(std::move(group), status, descriptors);
}

std::vector<std::string> codesOf(const Trial& trial) {
  switch (trial.fault) {
    case Fault::Kill: return {"PeerLost"};
    case Fault::Stop: return {"PeerStopped"};
    case Fault::Pause: return {"", isLongPause(trial.pausedSeconds) ? "PeerStopped" : ""};
    case Fault::HalfOpen: return {"PeerLost", "PeerStopped"};
    // Garbage may look like a message of another call, or like the rest of a message that never ends.
    case Fault::CorruptData: return {"FrameCorrupt", "PeerMismatch", "PeerLost", "DataLost"};
    case Fault::CorruptSide: return {"FrameCorrupt"};
    case Fault::Mismatch: return {"PeerMismatch"};
  }
  return {};
}

void check(Trial& trial) {
  const Board* board = trial.board.get();
  const bool victimEnds = trial.fault == Fault::Kill || trial.fault == Fault::HalfOpen;
  trial.ranks->join(15, victimEnds || trial.fault == Fault::Stop ? std::vector<int>{trial.victim} : std::vector<int>{});
  const auto allowed = codesOf(trial);
  for (int rank = 0; rank < trial.size; ++rank) {
    if (rank == trial.victim && (victimEnds || trial.fault == Fault::Stop)) continue;
    const std::string code = board->codes[rank], text = board->text[rank];
    if (std::find(allowed.begin(), allowed.end(), code) == allowed.end()) {
      throw CheckFailure("rank " + std::to_string(rank) + " got " + code + ": " + text);
    }
    if (code.empty()) continue;
    const int guilty = board->guilty[rank];
    CHECK(guilty >= 0);
    CHECK(text.find("rank " + std::to_string(guilty)) != std::string::npos);
    if (victimEnds || trial.fault == Fault::Stop) CHECK_EQ(guilty, trial.victim);
    const double seconds = secondsBetween(board->times[kFaultMark], board->times[rank]);
    if (seconds > boundSeconds()) {
      throw CheckFailure("rank " + std::to_string(rank) + " took " + std::to_string(seconds) + " s");
    }
  }
}

void start(Trial& trial) {
  std::mt19937_64 random(trial.seed);
  trial.size = 2 + static_cast<int>(random() % (trial.kind == LinkKind::Verbs ? 3 : 4));  // the guest has cables for four
  trial.victim = static_cast<int>(random() % static_cast<uint64_t>(trial.size));
  trial.calls = static_cast<int>(random() % 60);
  trial.ranks = std::make_unique<Processes>(trial.size, [&trial](int rank) { runRank(trial, rank); });
}

/// Lets a paused rank go on well within the time that is tolerated. True once it may.
bool resume(Trial& trial) {
  Board* board = trial.board.get();
  if (trial.fault != Fault::Pause || board->marks[kEndMark] != 0) return true;
  if (board->marks[kFaultMark] == 0 || secondsBetween(board->times[kFaultMark], nowNs()) < 0.75) return false;
  trial.ranks->signal(trial.victim, SIGCONT);
  trial.pausedSeconds = secondsBetween(board->times[kFaultMark], nowNs());
  board->marks[kEndMark] = 1;
  return true;
}

void finish(Trial& trial) {
  try {
    eventually("the fault comes", 30, [&] { return trial.board->marks[kFaultMark] != 0; });
    check(trial);
  } catch (const std::exception& error) {
    throw CheckFailure(trial.name() + ": " + error.what());
  }
}

/// All at once: most of the time they wait.
void runAll(std::vector<std::unique_ptr<Trial>> trials) {
  for (auto& trial : trials) start(*trial);
  eventually("all that paused go on", 30, [&] {
    bool all = true;
    for (auto& trial : trials) all = resume(*trial) && all;
    return all;
  });
  for (auto& trial : trials) finish(*trial);
}

bool isPossible(Fault fault) {
  if (fault != Fault::HalfOpen || mayVanish()) return true;
  std::printf("     NOT RUN: only root on Linux can make a connection half-open\n");
  return false;
}

std::unique_ptr<Trial> trialOf(Fault fault, LinkKind kind, uint64_t seed) {
  auto trial = std::make_unique<Trial>();
  trial->fault = fault;
  trial->kind = kind;
  trial->seed = seed;
  return trial;
}

void runFault(Fault fault, uint64_t seed) {
  if (!isPossible(fault)) return;
  std::vector<std::unique_ptr<Trial>> trials;
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    if (fault == Fault::CorruptData && kind != LinkKind::Tcp) continue;
    trials.push_back(trialOf(fault, kind, seed));
  }
  runAll(std::move(trials));
}

TEST("faults: SIGKILL at a random point of random calls") { runFault(Fault::Kill, seedOr(11)); }
TEST("faults: SIGSTOP at a random point of random calls") { runFault(Fault::Stop, seedOr(12)); }
TEST("faults: a pause within the tolerance breaks nothing") { runFault(Fault::Pause, seedOr(13)); }
TEST("faults: connections that become half-open") { runFault(Fault::HalfOpen, seedOr(14)); }
TEST("faults: garbage on a data connection") { runFault(Fault::CorruptData, seedOr(15)); }
TEST("faults: garbage on a side connection") { runFault(Fault::CorruptSide, seedOr(16)); }
TEST("faults: one rank makes another call") { runFault(Fault::Mismatch, seedOr(17)); }

TEST("verbs: every fault at a random point of random calls") {
  for (const Fault fault : {Fault::Kill, Fault::Stop, Fault::Pause, Fault::HalfOpen, Fault::CorruptSide, Fault::Mismatch}) {
    if (!isPossible(fault)) continue;
    std::vector<std::unique_ptr<Trial>> one;
    one.push_back(trialOf(fault, LinkKind::Verbs, seedOr(21) + static_cast<uint64_t>(fault)));
    runAll(std::move(one));
  }
}

TEST("slow: faults at many random points") {
  const uint64_t first = seedOr(601);
  for (uint64_t seed = first; seed < first + 5; ++seed) {
    for (int fault = 0; fault < 7; ++fault) runFault(static_cast<Fault>(fault), seed);
  }
}

}  // namespace
}  // namespace espalier::test
