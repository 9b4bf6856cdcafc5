#include "test/mpi/library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace espalier::test {

Mpi::Mpi() : library_(dlopen(ESPALIER_MPI_LIBRARY, RTLD_NOW | RTLD_GLOBAL)) {
  if (library_ == nullptr) throw CheckFailure(dlerror());
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(object(name));
  };
  load(getVersion, "MPI_Get_library_version");
  load(init, "MPI_Init");
  load(finalize, "MPI_Finalize");
  load(rank, "MPI_Comm_rank");
  load(size, "MPI_Comm_size");
  load(split, "MPI_Comm_split");
  load(free, "MPI_Comm_free");
  load(allReduce, "MPI_Allreduce");
  load(allGather, "MPI_Allgather");
  load(send, "MPI_Send");
  load(recv, "MPI_Recv");
  load(typeContiguous, "MPI_Type_contiguous");
  load(typeCommit, "MPI_Type_commit");
  load(opCreate, "MPI_Op_create");
  world = object("ompi_mpi_comm_world");
}

Handle Mpi::object(const char* name) const {
  void* found = dlsym(library_, name);
  if (found == nullptr) throw CheckFailure(dlerror());
  return found;
}

void runRanks(int count, const std::function<void(Mpi&, int rank)>& body, const std::string& leftover) {
  const Folder folder;
  const std::string path = folder.path() + "/meeting";
  if (!leftover.empty()) {
    std::ofstream(path) << leftover;
    CHECK_EQ(chmod(path.c_str(), 0600), 0);
  }
  {
    Processes ranks(count, [&](int rank) {
      setPlace(rank, count, "file:" + path);
      Mpi mpi;
      CHECK_EQ(mpi.init(nullptr, nullptr), 0);
      body(mpi, rank);
      CHECK_EQ(mpi.finalize(), 0);
    });
    ranks.join(30);
  }
  CHECK_EQ(entriesOf(folder.path().c_str()), 2);  // itself and its parent
}

void setPlace(int rank, int count, const std::string& place) {
  setenv("ESPALIER_RANK", std::to_string(rank).c_str(), 1);
  setenv("ESPALIER_SIZE", std::to_string(count).c_str(), 1);
  setenv("ESPALIER_RENDEZVOUS", place.c_str(), 1);
  setenv("ESPALIER_RENDEZVOUS_TIMEOUT_MS", "10000", 1);
}

Folder::Folder() {
  char name[] = "/tmp/espalier-mpi-test-XXXXXX";
  CHECK(mkdtemp(name) != nullptr);
  path_ = name;
}

Folder::~Folder() { std::filesystem::remove_all(path_); }

std::string thrownBy(const std::function<void()>& body) {
  try {
    body();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

}  // namespace espalier::test
