#pragma once
#include <string>

#include "status.h"

namespace espalier::mpi {

/// What a program that starts ranks has told this one, in variables of its own.
struct Launch {
  const char* by = nullptr;  ///< its name; nullptr: no such program has started this process
  int rank = 0;
  int size = 0;
  std::string job;    ///< the same for all ranks of this job and no others on this host; empty: they are on several hosts
  std::string place;  ///< host:port where rank 0 can listen; empty: it did not say
};

/// Whether one of the launchers that readLaunch knows has started this process.
bool isLaunched();

/// Knows Open MPI's mpirun, MPICH's (Hydra), and mlx.launch with its ring's host file. Fails with InvalidArgument when what
/// one says makes no sense.
Status readLaunch(Launch& launch);

}  // namespace espalier::mpi
