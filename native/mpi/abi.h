#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "transport/group.h"

// The part of Open MPI's C ABI (4.x and 5.x) that MLX loads by name: 14 functions and 16 objects whose address is the
// handle. Source: mlx/distributed/mpi/{mpi.cpp,mpi_declarations.h} of MLX 0.32.

namespace espalier::mpi {

class Communicator;

/// What a caller's pointer must point to: a handle that some other MPI in the process made is refused, not followed.
enum class HandleKind : uint64_t { Communicator = 0x6d6d6f6372707365, Datatype = 0x6570797472707365, Operation = 0x6f706f7472707365 };

struct CommunicatorHandle {
  HandleKind kind = HandleKind::Communicator;
  std::atomic<Communicator*> communicator{nullptr};
};

/// How the elements of a type are reduced: by the transport, or as what this library adds to it.
enum class Arithmetic : uint8_t { Transport, Bool, Float64, None };

struct Datatype {
  HandleKind kind = HandleKind::Datatype;
  Arithmetic arithmetic = Arithmetic::None;
  transport::DataType type = transport::DataType::Uint8;  ///< for Arithmetic::Transport
  size_t bytes = 1;                                       ///< of one element
  const char* name = "";
};

using UserFunction = void(void* in, void* inout, int* count, Datatype** type);

struct Operation {
  HandleKind kind = HandleKind::Operation;
  transport::ReduceOp op = transport::ReduceOp::Sum;  ///< when `user` is null
  UserFunction* user = nullptr;
  /// What `user` was found to do with elements of two bytes, see user_operation.h.
  std::atomic<uint8_t> recognised{0};
};

struct MessageStatus {
  int source, tag, error, cancelled;
  size_t bytes;
};

inline constexpr int kSuccess = 0;
inline constexpr int kErrorOther = 16;
inline constexpr int kAnyTag = -1;
inline constexpr int kUndefinedColor = -32766;
inline constexpr size_t kVersionBytes = 256;
inline const void* const kInPlace = reinterpret_cast<const void*>(1);

}  // namespace espalier::mpi

#define ESPALIER_MPI_EXPORT __attribute__((visibility("default")))

extern "C" {
ESPALIER_MPI_EXPORT int MPI_Get_library_version(char* version, int* length);
ESPALIER_MPI_EXPORT int MPI_Init(int* argc, char*** argv);
ESPALIER_MPI_EXPORT int MPI_Finalize();
ESPALIER_MPI_EXPORT int MPI_Comm_rank(espalier::mpi::CommunicatorHandle* comm, int* rank);
ESPALIER_MPI_EXPORT int MPI_Comm_size(espalier::mpi::CommunicatorHandle* comm, int* size);
ESPALIER_MPI_EXPORT int MPI_Comm_split(espalier::mpi::CommunicatorHandle* comm, int color, int key,
                                       espalier::mpi::CommunicatorHandle** child);
ESPALIER_MPI_EXPORT int MPI_Comm_free(espalier::mpi::CommunicatorHandle** comm);
ESPALIER_MPI_EXPORT int MPI_Allreduce(const void* in, void* out, int count, espalier::mpi::Datatype* type,
                                      espalier::mpi::Operation* op, espalier::mpi::CommunicatorHandle* comm);
ESPALIER_MPI_EXPORT int MPI_Allgather(const void* in, int inCount, espalier::mpi::Datatype* inType, void* out,
                                      int outCount, espalier::mpi::Datatype* outType,
                                      espalier::mpi::CommunicatorHandle* comm);
ESPALIER_MPI_EXPORT int MPI_Send(const void* data, int count, espalier::mpi::Datatype* type, int peer, int tag,
                                 espalier::mpi::CommunicatorHandle* comm);
ESPALIER_MPI_EXPORT int MPI_Recv(void* data, int count, espalier::mpi::Datatype* type, int peer, int tag,
                                 espalier::mpi::CommunicatorHandle* comm, espalier::mpi::MessageStatus* status);
ESPALIER_MPI_EXPORT int MPI_Type_contiguous(int count, espalier::mpi::Datatype* old, espalier::mpi::Datatype** made);
ESPALIER_MPI_EXPORT int MPI_Type_commit(espalier::mpi::Datatype** type);
ESPALIER_MPI_EXPORT int MPI_Op_create(espalier::mpi::UserFunction* function, int commutes,
                                      espalier::mpi::Operation** made);

ESPALIER_MPI_EXPORT extern espalier::mpi::CommunicatorHandle ompi_mpi_comm_world;
ESPALIER_MPI_EXPORT extern espalier::mpi::Operation ompi_mpi_op_sum, ompi_mpi_op_max, ompi_mpi_op_min;
ESPALIER_MPI_EXPORT extern espalier::mpi::Datatype ompi_mpi_c_bool, ompi_mpi_int8_t, ompi_mpi_uint8_t,
    ompi_mpi_int16_t, ompi_mpi_uint16_t, ompi_mpi_int32_t, ompi_mpi_uint32_t, ompi_mpi_int64_t, ompi_mpi_uint64_t,
    ompi_mpi_float, ompi_mpi_double, ompi_mpi_c_complex;
}
