// How the processes of a crew come to be.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "bench/perf/crew.h"
#include "bench/perf/rank.h"
#ifdef __linux__
#include <sys/prctl.h>
#endif
#ifdef __APPLE__
#include <mach-o/dyld.h>
#endif

namespace espalier::perf {
namespace {

std::string ownPath() {
#ifdef __APPLE__
  char path[4096];
  uint32_t size = sizeof path;
  return _NSGetExecutablePath(path, &size) == 0 ? path : "";
#else
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
#endif
}

/// A process group of its own, so that Ctrl-C reaches the conductor only; ends with the conductor; output to a log.
void settle(const std::string& log, pid_t conductor) {
  setpgid(0, 0);
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != conductor) _exit(1);
#endif
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  const int input = open("/dev/null", O_RDONLY), output = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
}

}  // namespace

std::string openStage(Stage& stage) {
  // Where memory is the file system, if there is such a place: the board is written all the time.
  const char* temporary = std::getenv("TMPDIR");
  for (const std::string& parent : {std::string("/dev/shm"), std::string(temporary != nullptr ? temporary : "/tmp")}) {
    std::string folder = parent + "/espalier-perf-" + std::to_string(getpid()) + "-XXXXXX";
    if (stage.folder.empty() && mkdtemp(folder.data()) != nullptr) stage.folder = folder;
  }
  if (stage.folder.empty()) return std::string("no temporary folder: ") + std::strerror(errno);
  stage.program = ownPath();
  stage.board = openBoard(stage.folder);
  if (stage.board == nullptr) return "no file to map in " + stage.folder + ": " + std::strerror(errno);
  stage.listener = listenAt(stage.folder + "/conductor");
  if (stage.listener < 0) return "no socket in " + stage.folder + ": " + std::strerror(errno);
  fcntl(stage.listener, F_SETFD, FD_CLOEXEC);
  return "";
}

void closeStage(Stage& stage) {
  if (stage.listener >= 0) close(stage.listener);
  std::error_code ignored;
  if (!stage.folder.empty()) std::filesystem::remove_all(stage.folder, ignored);
  stage = Stage{};
}

std::string Crew::fork() {
  const bool isMpi = !spec_.mpiArguments.empty();
  const pid_t conductor = getpid();
  for (int rank = 0; rank < (isMpi ? 1 : spec_.ranks); ++rank) {
    const pid_t child = ::fork();
    if (child < 0) return std::string("no process: ") + std::strerror(errno);
    if (child > 0) {
      children_.push_back({child, isMpi ? "mpirun" : "rank " + std::to_string(rank)});
      continue;
    }
    settle(stage_.folder + "/log." + std::to_string(index_), conductor);
    if (isMpi) becomeMpirun();
    becomeRank(rank);
  }
  return "";
}

void Crew::becomeRank(int rank) {
  // The conductor's ends of other crews' sockets: their ranks must see it when the conductor is gone.
  const long most = sysconf(_SC_OPEN_MAX);
  for (int file = STDERR_FILENO + 1; file < std::min(most, 1024L); ++file) {
    if (file != floor_.sockets[0] && file != floor_.sockets[1]) close(file);
  }
  const Seat seat{stage_.board, index_, rank, spec_.ranks};
  if (spec_.isPerftest) _exit(servePerftest(stage_.folder, seat, stage_.verbsDevices));
  _exit(spec_.library == "floor" ? serveFloor(stage_.folder, seat, floor_)
                                 : serveEspalier(stage_.folder, seat, {spec_.link, stage_.verbsDevices}));
}

void Crew::becomeMpirun() {
  std::vector<std::string> words = {"mpirun", "-n", std::to_string(spec_.ranks)};
  words.insert(words.end(), spec_.mpiArguments.begin(), spec_.mpiArguments.end());
  for (const std::string& word : {stage_.program, std::string("--as-mpi-rank"), stage_.folder, std::to_string(index_)}) {
    words.push_back(word);
  }
  for (const auto& [name, value] : spec_.environment) setenv(name.c_str(), value.c_str(), 1);
  // What mpirun writes lies in the run's own folder and goes with it.
  setenv("TMPDIR", stage_.folder.c_str(), 1);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp("mpirun", arguments.data());
  std::perror("mpirun");
  _exit(127);
}

}  // namespace espalier::perf
