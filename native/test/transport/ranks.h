#pragma once
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "test/check.h"
#include "transport/group.h"

namespace espalier::test {

using transport::Group;
using transport::GroupOptions;
using transport::LinkKind;

/// Memory that survives fork: where ranks meet and leave results for the test.
struct Board {
  std::atomic<int> port;
  std::atomic<int> marks[64];
  std::atomic<int64_t> times[64];  ///< steady clock, ns
  char text[16][256];
  char codes[16][64];
  std::atomic<int> guilty[16];
};

class SharedBoard {
 public:
  SharedBoard();
  ~SharedBoard();
  SharedBoard(const SharedBoard&) = delete;
  SharedBoard& operator=(const SharedBoard&) = delete;
  Board* operator->() const { return board_; }
  Board* get() const { return board_; }

 private:
  Board* board_;
};

/// Where a test's random choices begin: SEED=n from the environment, else `usual`, the same in every run.
uint64_t seedOr(uint64_t usual);

int64_t nowNs();
/// Waits until `holds`, at most `seconds` of a machine that has nothing else to do; checks that it did.
void eventually(const char* what, double seconds, const std::function<bool()>& holds);
/// Waits until `count` ranks have come here, without the transport.
void meet(Board* board, int count);

/// In the guest of test/rdma, or on an emulated processor: everything takes several times as long.
bool isEmulated();
/// Within how many seconds a failure must be known to every survivor: two by contract, and twice as much again for a machine
/// that runs other things.
double boundSeconds();
double secondsBetween(int64_t beganNs, int64_t endedNs);
/// Whether a process that was stopped for so long may seem to have stopped for good: it is up to two seconds after its last
/// beat. It was not to take so long, but a busy machine may let the test itself wait.
inline bool isLongPause(double seconds) { return seconds > 1.6; }
/// The guest's devices, for up to four ranks.
std::vector<transport::VerbsCable> cablesOf(int rank, int size);

/// Options for `rank`; rank 0 announces its port on the board, the others take it from there (waiting for it).
GroupOptions optionsFor(int rank, int size, LinkKind kind, Board* board);
/// Group::create with these options; a failure is a CheckFailure.
std::unique_ptr<Group> join(const GroupOptions& options);
void checkOk(const Status& status, const char* file, int line);

/// Runs body(rank) in one forked process per rank and waits for all; any failure fails the test.
class Processes {
 public:
  Processes(int count, const std::function<void(int)>& body);
  ~Processes();  ///< kills what still runs
  Processes(const Processes&) = delete;
  Processes& operator=(const Processes&) = delete;
  pid_t pid(int rank) const { return pids_[rank]; }
  void signal(int rank, int signal) const;
  /// Waits for every process but those in `except`; each must have succeeded.
  void join(double seconds, const std::vector<int>& except = {});

 private:
  std::vector<pid_t> pids_;
};

/// Runs body(rank) in one thread per rank; rethrows the first failure.
void runThreads(int count, const std::function<void(int)>& body);

const char* nameOf(LinkKind kind);

/// How many entries of `folder` start with `prefix`.
int entriesOf(const char* folder, const std::string& prefix = "");

}  // namespace espalier::test

#define CHECK_OK(status) ::espalier::test::checkOk((status), __FILE__, __LINE__)
