// Open MPI's ABI by dlopen: nothing of MPI is needed to build, and the program measures whatever mpirun started it.
#include <dlfcn.h>

#include <cstdlib>

#include "bench/perf/library.h"
#include "transport/reduce/kernels.h"

namespace espalier::perf {
namespace {

using Handle = void*;
using UserFunction = void (*)(void* in, void* inout, int* count, Handle* type);

struct MpiFunctions {
  int (*Init)(int*, char***);
  int (*Finalize)();
  int (*Comm_rank)(Handle, int*);
  int (*Comm_size)(Handle, int*);
  int (*Allreduce)(const void*, void*, int, Handle, Handle, Handle);
  int (*Allgather)(const void*, int, Handle, void*, int, Handle, Handle);
  int (*Reduce_scatter_block)(const void*, void*, int, Handle, Handle, Handle);
  int (*Bcast)(void*, int, Handle, int, Handle);
  int (*Send)(const void*, int, Handle, int, int, Handle);
  int (*Recv)(void*, int, Handle, int, int, Handle, void*);
  int (*Barrier)(Handle);
  int (*Type_contiguous)(int, Handle, Handle*);
  int (*Type_commit)(Handle*);
  int (*Op_create)(UserFunction, int, Handle*);
};

/// MPI has no 16-bit floats: the sum is the transport's own kernel, so that no library is slower for its arithmetic.
template <DataType type>
void sumInto(void* in, void* inout, int* count, Handle*) {
  transport::reducePair(inout, in, inout, static_cast<size_t>(*count), type, transport::ReduceOp::Sum);
}

class MpiLibrary : public Library {
 public:
  ~MpiLibrary() override {
    if (functions_.Finalize != nullptr) functions_.Finalize();
  }

  /// Empty: success.
  std::string open(Seat& seat) {
    if (std::string why = load(); !why.empty()) return why;
    if (functions_.Init(nullptr, nullptr) != 0) return "MPI_Init failed";
    functions_.Comm_rank(world_, &seat.rank);
    functions_.Comm_size(world_, &seat.ranks);
    rank_ = seat.rank;
    functions_.Type_contiguous(2, byte_, &half_);
    functions_.Type_commit(&half_);
    functions_.Op_create(sumInto<DataType::Float16>, 1, &sumFloat16_);
    functions_.Op_create(sumInto<DataType::BFloat16>, 1, &sumBFloat16_);
    return "";
  }

  Status run(const Cell& cell, const void* in, void* out) override {
    const int count = static_cast<int>(elementCount(cell));
    const Handle type = cell.type == DataType::Float32 ? float_ : half_;
    const Handle sum = cell.type == DataType::Float32   ? sum_
                       : cell.type == DataType::Float16 ? sumFloat16_
                                                        : sumBFloat16_;
    const void* from = cell.inPlace != 0 ? reinterpret_cast<const void*>(1) : in;  // MPI_IN_PLACE
    int error = 0;
    switch (cell.collective) {
      case Collective::AllReduce: error = functions_.Allreduce(from, out, count, type, sum, world_); break;
      case Collective::AllGather: error = functions_.Allgather(in, count, type, out, count, type, world_); break;
      case Collective::ReduceScatter:
        error = functions_.Reduce_scatter_block(in, out, count, type, sum, world_);
        break;
      case Collective::Broadcast:
        for (int root = cell.ranks - 1; root >= 0 && error == 0; --root) {
          error = functions_.Bcast(out, count, type, root, world_);
        }
        break;
      case Collective::Send: error = sendAndReturn(in, out, count, type); break;
      case Collective::Barrier: error = functions_.Barrier(world_); break;
    }
    return error == 0 ? Status::success()
                      : Status::failure("Internal", "MPI returned error " + std::to_string(error));
  }

 private:
  int sendAndReturn(const void* in, void* out, int count, Handle type) {
    const auto send = [&](int peer) { return functions_.Send(in, count, type, peer, 0, world_); };
    const auto receive = [&](int peer) { return functions_.Recv(out, count, type, peer, 0, world_, nullptr); };
    const int error = rank_ == 0 ? send(1) : receive(0);
    if (error != 0) return error;
    return rank_ == 0 ? receive(1) : send(0);
  }

  std::string load() {
    // mpirun of another prefix (pip, Homebrew) passes where its library is.
    const char* named = std::getenv("ESPALIER_PERF_LIBMPI");
    void* library = nullptr;
    for (const char* name : {named != nullptr ? named : "libmpi.so.40", "libmpi.so.40", "libmpi.so", "libmpi.dylib"}) {
      // Its plug-ins look for the library's symbols in the global scope.
      if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_GLOBAL);
    }
    if (library == nullptr) return std::string("no Open MPI library: ") + dlerror();
    std::string missing;
    const auto find = [&](const char* name, auto& place) {
      void* symbol = dlsym(library, name);
      if (symbol == nullptr) missing = name;
      place = reinterpret_cast<std::remove_reference_t<decltype(place)>>(symbol);
    };
    find("MPI_Init", functions_.Init);
    find("MPI_Finalize", functions_.Finalize);
    find("MPI_Comm_rank", functions_.Comm_rank);
    find("MPI_Comm_size", functions_.Comm_size);
    find("MPI_Allreduce", functions_.Allreduce);
    find("MPI_Allgather", functions_.Allgather);
    find("MPI_Reduce_scatter_block", functions_.Reduce_scatter_block);
    find("MPI_Bcast", functions_.Bcast);
    find("MPI_Send", functions_.Send);
    find("MPI_Recv", functions_.Recv);
    find("MPI_Barrier", functions_.Barrier);
    find("MPI_Type_contiguous", functions_.Type_contiguous);
    find("MPI_Type_commit", functions_.Type_commit);
    find("MPI_Op_create", functions_.Op_create);
    find("ompi_mpi_comm_world", world_);
    find("ompi_mpi_op_sum", sum_);
    find("ompi_mpi_float", float_);
    find("ompi_mpi_uint8_t", byte_);
    if (missing.empty()) return "";
    functions_.Finalize = nullptr;
    return "the MPI library is not Open MPI: it has no " + missing;
  }

  MpiFunctions functions_{};
  Handle world_ = nullptr, sum_ = nullptr, float_ = nullptr, byte_ = nullptr;
  Handle half_ = nullptr, sumFloat16_ = nullptr, sumBFloat16_ = nullptr;
  int rank_ = 0;
};

}  // namespace

std::unique_ptr<Library> openMpi(Seat& seat, Status& status) {
  auto library = std::make_unique<MpiLibrary>();
  const std::string why = library->open(seat);
  if (why.empty()) return library;
  status = Status::failure("Internal", why);
  return nullptr;
}

}  // namespace espalier::perf
