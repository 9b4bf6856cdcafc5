#include "bench/perf/crew.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

namespace espalier::perf {
namespace {

constexpr double kStartUs = 60e6;   // mpirun on a busy machine
constexpr double kAnswerUs = 60e6;  // the longest command takes a few seconds
constexpr double kLeaveUs = 3e6;
constexpr double kFarewellUs = 1e6;
constexpr size_t kBufferSlackBytes = 8'192;  // buffers are whole pages and a bit
constexpr int kTickMs = 50;
constexpr size_t kLogTailBytes = 1'500;

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

void interruptCrews(int signal) { interrupted = signal; }
int interruption() { return interrupted; }

std::string Crew::start() {
  Board::Crew& board = stage_.board->crews[index_];
  for (Board::Mark& mark : board.arrived) mark.value = 0;
  board.rendezvousPort = 0;
  board.stop = 0;
  std::string why;
  if (spec_.library == "floor" && !spec_.isPerftest) why = makeFloorPlace(std::max<size_t>(stage_.largestBytes, 65'536) + kBufferSlackBytes, floor_);
  if (why.empty()) why = fork();
  if (why.empty()) why = awaitRanks();
  if (!why.empty()) stop();
  return why;
}

/// True when a child has ended; `ending_` says how.
bool Crew::reap() {
  for (auto child = children_.begin(); child != children_.end();) {
    int status = 0;
    if (waitpid(child->pid, &status, WNOHANG) != child->pid) {
      ++child;
      continue;
    }
    std::ostringstream text;
    text << child->name;
    if (WIFSIGNALED(status)) text << " was killed by signal " << WTERMSIG(status);
    else text << " ended with status " << WEXITSTATUS(status);
    if (ending_.empty()) ending_ = text.str();
    child = children_.erase(child);
  }
  return !ending_.empty();
}

std::string Crew::whoLeft(const std::string& otherwise) {
  for (const double untilUs = nowUs() + kFarewellUs; !reap() && nowUs() < untilUs;) usleep(2'000);
  return ending_.empty() ? otherwise : ending_;
}

std::string Crew::explain(const std::string& what) {
  std::ifstream log(stage_.folder + "/log." + std::to_string(index_));
  std::stringstream text;
  text << log.rdbuf();
  std::string tail = text.str();
  if (tail.size() > kLogTailBytes) tail = "…" + tail.substr(tail.size() - kLogTailBytes);
  return spec_.title() + ": " + what + (tail.empty() ? "" : "\n" + tail);
}

std::string Crew::awaitRanks() {
  sockets_.assign(static_cast<size_t>(spec_.ranks), -1);
  ranks_.assign(static_cast<size_t>(spec_.ranks), -1);
  const double deadlineUs = nowUs() + kStartUs;
  for (int missing = spec_.ranks; missing > 0;) {
    if (interruption() != 0) return "interrupted";
    if (nowUs() > deadlineUs) return explain("its ranks were not there after 60 s");
    pollfd waiting{stage_.listener, POLLIN, 0};
    if (poll(&waiting, 1, kTickMs) <= 0) {
      if (reap()) return explain(ending_ + " at the start");
      continue;
    }
    const int socket = accept(stage_.listener, nullptr, nullptr);
    Hello hello;
    if (socket < 0) continue;
    fcntl(socket, F_SETFD, FD_CLOEXEC);  // else a later mpirun holds it open
    if (!readAll(socket, &hello, sizeof hello) || hello.crew != index_ || hello.rank < 0 ||
        hello.rank >= spec_.ranks || sockets_[static_cast<size_t>(hello.rank)] >= 0) {
      close(socket);  // a late rank of a crew that was given up
      continue;
    }
    const auto rank = static_cast<size_t>(hello.rank);
    sockets_[rank] = socket;
    ranks_[rank] = hello.pid;
    Reply ready;
    if (!readAll(socket, &ready, sizeof ready)) return explain("rank " + std::to_string(rank) + " left at the start");
    if (ready.ok == 0) return explain("rank " + std::to_string(rank) + " cannot start: " + ready.error);
    --missing;
  }
  return "";
}

/// What a rank after `from` said before it ended, if it said anything.
std::string Crew::lastWords(int from, const std::string& otherwise) {
  for (int rank = from; rank < spec_.ranks; ++rank) {
    const int socket = sockets_[static_cast<size_t>(rank)];
    pollfd waiting{socket, POLLIN, 0};
    Reply reply;
    if (poll(&waiting, 1, 0) <= 0 || !readAll(socket, &reply, sizeof reply) || reply.ok != 0) continue;
    return "rank " + std::to_string(rank) + ": " + reply.error;
  }
  return otherwise;
}

std::string Crew::awaitReply(int rank, double deadlineUs, Reply& reply) {
  const int socket = sockets_[static_cast<size_t>(rank)];
  const std::string name = "rank " + std::to_string(rank);
  while (true) {
    if (interruption() != 0) return "interrupted";
    if (nowUs() > deadlineUs) return explain(name + " did not answer within 60 s");
    pollfd waiting{socket, POLLIN, 0};
    if (poll(&waiting, 1, kTickMs) > 0) break;
    // The dead rank may be another one, whose partners wait for it.
    if (reap()) return explain(lastWords(rank, ending_ + " in the middle of a measurement"));
  }
  if (!readAll(socket, &reply, sizeof reply)) return explain(whoLeft(name + " left"));
  return reply.ok != 0 ? "" : explain(name + ": " + reply.error);
}

std::string Crew::order(const Command& command, Reply& worst) {
  worst = {};
  std::string why;
  for (const int socket : sockets_) {
    if (why.empty() && !writeAll(socket, &command, sizeof command)) why = "left";
  }
  if (why == "left") why = explain(whoLeft("a rank left before its next command"));
  const double deadlineUs = nowUs() + kAnswerUs;
  for (int rank = 0; rank < spec_.ranks && why.empty(); ++rank) {
    Reply reply;
    why = awaitReply(rank, deadlineUs, reply);
    worst.units = std::max(worst.units, reply.units);
    worst.minUs = std::max(worst.minUs, reply.minUs);
    worst.medianUs = std::max(worst.medianUs, reply.medianUs);
    worst.p99Us = std::max(worst.p99Us, reply.p99Us);
    worst.meanUs = std::max(worst.meanUs, reply.meanUs);
    worst.wallUs = std::max(worst.wallUs, reply.wallUs);
    worst.probeUs = std::max(worst.probeUs, reply.probeUs);
  }
  if (!why.empty()) stop();
  return why;
}

void Crew::stop() {
  stage_.board->crews[index_].stop = 1;
  for (const int socket : sockets_) {
    if (socket >= 0) close(socket);
  }
  sockets_.clear();
  for (const double untilUs = nowUs() + kLeaveUs; !children_.empty() && nowUs() < untilUs; reap()) usleep(2'000);
  // While mpirun has not been waited for, the processes that it started are its own and nobody else's.
  if (!children_.empty()) {
    for (const pid_t rank : ranks_) {
      if (rank > 0) kill(rank, SIGKILL);
    }
    for (const double untilUs = nowUs() + kLeaveUs; !children_.empty() && nowUs() < untilUs; reap()) usleep(2'000);
  }
  for (const Child& child : children_) {
    kill(-child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }
  children_.clear();
  ranks_.clear();
  closeFloorPlace(floor_);
}

}  // namespace espalier::perf
