#include "test/transport/ranks.h"

#include <dirent.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <thread>

#include "transport/link.h"

namespace espalier::test {

SharedBoard::SharedBoard() {
  void* memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  board_ = new (memory) Board{};
}

SharedBoard::~SharedBoard() { munmap(board_, sizeof(Board)); }

uint64_t seedOr(uint64_t usual) {
  const char* given = std::getenv("SEED");
  return given == nullptr ? usual : std::strtoull(given, nullptr, 10);
}

int64_t nowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool isEmulated() { return std::getenv("RDMA_VM") != nullptr || std::getenv("ESPALIER_EMULATED") != nullptr; }

double boundSeconds() { return isEmulated() ? 8.0 : 6.0; }

double secondsBetween(int64_t beganNs, int64_t endedNs) { return static_cast<double>(endedNs - beganNs) / 1e9; }

void eventually(const char* what, double seconds, const std::function<bool()>& holds) {
  // A machine that runs other things may take several times as long for what does not hang.
  const int64_t deadline = nowNs() + static_cast<int64_t>(seconds * 6e9);
  while (!holds()) {
    if (nowNs() > deadline) throw CheckFailure(std::string("not within the deadline: ") + what);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void meet(Board* board, int count) {
  board->marks[62]++;
  eventually("all ranks meet", 10, [&] { return board->marks[62] >= count; });
}

/// Cable i of the guest joins rxe(2i) and rxe(2i + 1); a mesh of 4 has six.
std::vector<transport::VerbsCable> cablesOf(int rank, int size) {
  static constexpr int kCableBetween[4][4] = {{-1, 0, 1, 2}, {0, -1, 3, 4}, {1, 3, -1, 5}, {2, 4, 5, -1}};
  std::vector<transport::VerbsCable> cables;
  for (int peer = 0; peer < size; ++peer) {
    if (peer == rank) continue;
    const int end = 2 * kCableBetween[rank][peer] + (rank < peer ? 0 : 1);
    cables.push_back({peer, "rxe" + std::to_string(end)});
  }
  return cables;
}

GroupOptions optionsFor(int rank, int size, LinkKind kind, Board* board) {
  GroupOptions options;
  options.rank = rank;
  options.size = size;
  options.secret = "a secret for tests";
  options.epoch = 7;
  options.hostId = "test host";
  options.links = {kind};
  options.rendezvousTimeoutMs = 60'000;
  options.operationTimeoutMs = options.rendezvousTimeoutMs;
  options.livenessTimeoutMs = 2'000;  // all that may be tolerated: a busy machine's core may be away for a second
  if (kind == LinkKind::Verbs) options.verbsCables = cablesOf(rank, size);
  options.onListeningContext = board;
  options.onListening = [](uint16_t port, void* context) { static_cast<Board*>(context)->port = port; };
  if (rank > 0) {
    eventually("rank 0 listens", 10, [&] { return board->port != 0; });
    options.rendezvousPort = static_cast<uint16_t>(board->port);
  }
  return options;
}

std::unique_ptr<Group> join(const GroupOptions& options) {
  Status status;
  auto group = Group::create(options, status);
  CHECK_OK(status);
  CHECK(group != nullptr);
  return group;
}

void checkOk(const Status& status, const char* file, int line) {
  if (!status.ok()) failCheck(file, line, status.code + ": " + status.message);
}

Processes::Processes(int count, const std::function<void(int)>& body) {
  std::fflush(nullptr);
  for (int rank = 0; rank < count; ++rank) {
    const pid_t pid = fork();
    if (pid != 0) {
      pids_.push_back(pid);
      continue;
    }
    int code = 0;
    try {
      body(rank);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "rank %d: %s\n", rank, error.what());
      code = 1;
    }
    std::fflush(nullptr);
    _exit(code);
  }
}

Processes::~Processes() {
  for (const pid_t pid : pids_) {
    if (pid <= 0) continue;
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
  }
}

void Processes::signal(int rank, int signal) const { CHECK(kill(pids_[rank], signal) == 0); }

void Processes::join(double seconds, const std::vector<int>& except) {
  for (size_t rank = 0; rank < pids_.size(); ++rank) {
    if (pids_[rank] < 0 || std::find(except.begin(), except.end(), static_cast<int>(rank)) != except.end()) continue;
    int wait = 0;
    eventually(("rank " + std::to_string(rank) + " ends").c_str(), seconds,
               [&] { return waitpid(pids_[rank], &wait, WNOHANG) == pids_[rank]; });
    pids_[rank] = -1;
    if (!WIFEXITED(wait) || WEXITSTATUS(wait) != 0) {
      throw CheckFailure("rank " + std::to_string(rank) + " failed, see above (wait status " + std::to_string(wait) +
                         ")");
    }
  }
}

void runThreads(int count, const std::function<void(int)>& body) {
  std::vector<std::exception_ptr> errors(count);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        body(rank);
      } catch (...) {
        errors[rank] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

int entriesOf(const char* folder, const std::string& prefix) {
  DIR* dir = opendir(folder);
  if (dir == nullptr) return 0;
  int count = 0;
  while (const dirent* entry = readdir(dir)) count += std::string(entry->d_name).starts_with(prefix) ? 1 : 0;
  closedir(dir);
  return count;
}

const char* nameOf(LinkKind kind) { return transport::linkName(kind); }

}  // namespace espalier::test

int main(int argc, char** argv) { return espalier::test::runCases(argc, argv); }
