#include "mpi/launcher.h"

#include <unistd.h>

#include <fstream>
#include <iterator>
#include <vector>

#include "mpi/variables.h"

namespace espalier::mpi {
namespace {

/// Variables of a launcher that gives each rank its number and theirs.
struct Numbering {
  const char *by, *rank, *size, *localSize;
};

constexpr Numbering kOpenMpi = {"Open MPI's mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr Numbering kHydra = {"MPICH's mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"};

Status readNumbering(const Numbering& names, Launch& launch) {
  launch.by = names.by;
  if (variable(names.size).empty()) return invalid(std::string(names.rank) + " is set, but not " + names.size);
  const Status status = readNumber(names.rank, launch.rank);
  return status.ok() ? readNumber(names.size, launch.size) : status;
}

bool isOnOneHost(const Numbering& names) { return variable(names.localSize) == variable(names.size); }

/// The first address of each rank in a file like [["10.0.0.1:32323"], ["10.0.0.2:32324", "10.0.1.2:32325"]].
Status readAddresses(const std::string& path, std::vector<std::string>& addresses) {
  std::ifstream file(path);
  if (!file) return invalid("MLX_HOSTFILE: " + path + " cannot be read");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '[' && ++depth == 2) addresses.emplace_back();
    if (text[at] == ']') --depth;
    if (text[at] != '"') continue;
    const size_t end = text.find('"', at + 1);
    if (end == std::string::npos || depth != 2) return invalid("MLX_HOSTFILE: " + path + " is no list of lists of addresses");
    if (addresses.back().empty()) addresses.back() = text.substr(at + 1, end - at - 1);
    at = end;
  }
  return Status::success();
}

bool isLoopback(const std::string& address) {
  return address.starts_with("127.") || address.starts_with("localhost:") || address.starts_with("[::1]:");
}

Status readMlxLaunch(Launch& launch) {
  launch.by = "mlx.launch";
  std::vector<std::string> addresses;
  Status status = readNumber("MLX_RANK", launch.rank);
  if (status.ok()) status = readAddresses(variable("MLX_HOSTFILE"), addresses);
  if (!status.ok()) return status;
  launch.size = addresses.empty() ? 1 : static_cast<int>(addresses.size());  // it writes an empty file for one rank
  bool onOneHost = true;
  for (const std::string& address : addresses) onOneHost = onOneHost && isLoopback(address);
  if (!addresses.empty()) launch.place = addresses.front();
  if (!onOneHost) return status;
  // Two jobs may have the same addresses, but then not one process group.
  launch.job = "mlx-launch-" + std::to_string(getpgrp()) + "-" + launch.place;
  launch.place.clear();
  return status;
}

bool isOfMlxLaunch() { return !variable("MLX_RANK").empty() && !variable("MLX_HOSTFILE").empty(); }

}  // namespace

bool isLaunched() { return !variable(kOpenMpi.rank).empty() || !variable(kHydra.rank).empty() || isOfMlxLaunch(); }

Status readLaunch(Launch& launch) {
  if (!variable(kOpenMpi.rank).empty()) {
    if (isOnOneHost(kOpenMpi)) launch.job = variable("PMIX_NAMESPACE");
    if (isOnOneHost(kOpenMpi) && launch.job.empty()) launch.job = variable("OMPI_MCA_ess_base_jobid");
    return readNumbering(kOpenMpi, launch);
  }
  if (!variable(kHydra.rank).empty()) {
    // It tells its job's name only over a protocol of its own; one process of it has started all ranks of this host.
    if (isOnOneHost(kHydra)) launch.job = "hydra-" + std::to_string(getppid());
    return readNumbering(kHydra, launch);
  }
  return isOfMlxLaunch() ? readMlxLaunch(launch) : Status::success();
}

}  // namespace espalier::mpi
