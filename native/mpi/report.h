#pragma once
#include "mpi/communicator.h"

namespace espalier::mpi {

/// Writes the world's statistics to stderr (ESPALIER_STATS=1).
void reportStats(Communicator& world) noexcept;

}  // namespace espalier::mpi
