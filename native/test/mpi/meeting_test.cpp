#include <unistd.h>

#include "test/mpi/library.h"

namespace espalier::test {
namespace {

TEST("what a killed rank 0 announced is passed over, though a process has its number again") {
  const std::string leftover = std::to_string(getpid()) + " 1 " + std::string(64, '0') + "\n";
  runRanks(2, [](Mpi& mpi, int rank) {
    float value = static_cast<float>(rank + 1);
    CHECK_EQ(mpi.allReduce(kMpiInPlace, &value, 1, mpi.object("ompi_mpi_float"), mpi.object("ompi_mpi_op_sum"), mpi.world), 0);
    CHECK_EQ(value, 3.0f);
  }, leftover);
}

}  // namespace
}  // namespace espalier::test
