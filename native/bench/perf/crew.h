#pragma once
#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "bench/perf/library.h"
#include "bench/perf/wire.h"

namespace espalier::perf {

/// One contender: a library with its settings, on one kind of link.
struct CrewSpec {
  std::string library{};  ///< "espalier", "floor", "openmpi" or "ucx"
  std::string variant{};  ///< how it is set up, where a library takes part more than once
  LinkKind link = LinkKind::SharedMemory;
  int ranks = 2;
  bool isPerftest = false;  ///< the floor of verbs: ib_send_lat
  /// mpirun's arguments and the environment that goes with them; empty for our own.
  std::vector<std::string> mpiArguments{};
  std::map<std::string, std::string> environment{};

  std::string title() const { return library + (variant.empty() ? "" : ", " + variant) + ", " + nameOf(link); }
};

/// What all crews of a run share.
struct Stage {
  std::string folder;  ///< for the board, the socket, logs and what mpirun leaves; removed at the end
  std::string program;  ///< this program's own path
  Board* board = nullptr;
  int listener = -1;
  size_t largestBytes = 0;
  std::vector<std::string> verbsDevices;
};

/// Empty: success.
std::string openStage(Stage& stage);
void closeStage(Stage& stage);

/// From a signal handler: every wait of every crew ends.
void interruptCrews(int signal);
/// The signal that ended the run, 0 while it goes on.
int interruption();

/// The processes of one contender. They sleep in a read while others are measured.
class Crew {
 public:
  Crew(Stage& stage, int index, CrewSpec spec) : stage_(stage), index_(index), spec_(std::move(spec)) {}
  ~Crew() { stop(); }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  const CrewSpec& spec() const { return spec_; }
  /// Starts the ranks and waits until all are ready. Empty: success.
  std::string start();
  /// Has all ranks carry out `command`; `worst` has the slowest rank's figures. Empty: success; after a failure the
  /// crew is stopped.
  std::string order(const Command& command, Reply& worst);
  /// Lets the ranks leave in order, kills those that do not, and waits for all.
  void stop();

 private:
  std::string fork();
  [[noreturn]] void becomeRank(int rank);
  [[noreturn]] void becomeMpirun();
  std::string awaitRanks();
  std::string lastWords(int from, const std::string& otherwise);
  std::string awaitReply(int rank, double deadlineUs, Reply& reply);
  /// Waits a moment for the end of the process behind a connection that has closed.
  std::string whoLeft(const std::string& otherwise);
  std::string explain(const std::string& what);
  bool reap();

  Stage& stage_;
  int index_;
  CrewSpec spec_;
  FloorPlace floor_;
  struct Child {
    pid_t pid = -1;
    std::string name;  ///< "rank 1" or "mpirun"
  };
  std::vector<Child> children_;
  std::vector<pid_t> ranks_;  ///< process of each rank; under mpirun not children of ours
  std::vector<int> sockets_;
  std::string ending_;  ///< which child ended first, and how; empty while all run
};

}  // namespace espalier::perf
