#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "mpi/abi.h"
#include "mpi/process.h"
#include "mpi/user_operation.h"

// The functions of the ABI. Failures leave them as std::runtime_error: MLX ignores their return codes.

namespace espalier::mpi {
namespace {

[[noreturn]] void refuse(const char* function, const std::string& what) {
  throw std::runtime_error(std::string("[espalier] InvalidArgument: ") + what + "; in " + function);
}

size_t elementsOf(const char* function, int count) {
  if (count < 0) refuse(function, "the count is " + std::to_string(count) + "; arrays of 2^31 elements and more do not "
                                                                            "fit into MPI's int");
  return static_cast<size_t>(count);
}

template <class Handle>
Handle& checked(const char* function, Handle* handle) {
  if (handle == nullptr || handle->kind != Handle{}.kind) {
    refuse(function, "a type or operation is not one of this library; is a second MPI loaded?");
  }
  return *handle;
}

void checkTag(const char* function, int tag) {
  if (tag != 0 && tag != kAnyTag) refuse(function, "the tag is " + std::to_string(tag) + ", only 0 is supported");
}

}  // namespace
}  // namespace espalier::mpi

using namespace espalier::mpi;
using espalier::Status;
using espalier::transport::DataType;

int MPI_Get_library_version(char* version, int* length) {
  // MLX looks for "Open MPI" in it, to know the ABI.
  constexpr char text[] = "Espalier transport (not Open MPI, but its ABI, as far as MLX needs it)";
  static_assert(sizeof text <= kVersionBytes);
  std::memcpy(version, text, sizeof text);
  *length = static_cast<int>(sizeof text - 1);
  return kSuccess;
}

int MPI_Init(int*, char***) { return Process::get().start() ? kSuccess : kErrorOther; }

int MPI_Finalize() {
  Process::get().finish();
  return kSuccess;
}

int MPI_Comm_rank(CommunicatorHandle* comm, int* rank) {
  *rank = communicatorOf(comm).rank();
  return kSuccess;
}

int MPI_Comm_size(CommunicatorHandle* comm, int* size) {
  *size = communicatorOf(comm).size();
  return kSuccess;
}

int MPI_Comm_split(CommunicatorHandle* comm, int color, int key, CommunicatorHandle** child) {
  *child = Process::get().split(communicatorOf(comm), color, key);
  return kSuccess;
}

int MPI_Comm_free(CommunicatorHandle** comm) {
  if (comm != nullptr && *comm != nullptr) Process::get().free(*comm);
  if (comm != nullptr) *comm = nullptr;
  return kSuccess;
}

int MPI_Allreduce(const void* in, void* out, int count, Datatype* type, Operation* op, CommunicatorHandle* comm) {
  constexpr const char* kName = "MPI_Allreduce";
  const void* const from = in == kInPlace ? out : in;
  const size_t elements = elementsOf(kName, count);
  Datatype& datatype = checked(kName, type);
  Operation& operation = checked(kName, op);
  const auto native = nativeReduction(datatype, operation);
  communicatorOf(comm).call(Call(kName, elements * datatype.bytes, type, op), [&](const auto& group) {
    return native ? group->allReduce(from, out, elements, native->type, native->op)
                  : reduceGathered(*group, from, out, elements, datatype, operation);
  });
  return kSuccess;
}

int MPI_Allgather(const void* in, int inCount, Datatype* inType, void* out, int outCount, Datatype* outType,
                  CommunicatorHandle* comm) {
  constexpr const char* kName = "MPI_Allgather";
  Communicator& communicator = communicatorOf(comm);
  const size_t bytes = elementsOf(kName, outCount) * checked(kName, outType).bytes;
  std::vector<std::byte> own;
  if (in == kInPlace) {
    const auto* place = static_cast<const std::byte*>(out) + bytes * static_cast<size_t>(communicator.rank());
    own.assign(place, place + bytes);
    in = own.data();
  } else if (elementsOf(kName, inCount) * checked(kName, inType).bytes != bytes) {
    refuse(kName, "each rank sends another number of bytes than it receives");
  }
  communicator.call(Call(kName, bytes, outType), [&](const auto& group) { return group->allGather(in, out, bytes, DataType::Uint8); });
  return kSuccess;
}

int MPI_Send(const void* data, int count, Datatype* type, int peer, int tag, CommunicatorHandle* comm) {
  constexpr const char* kName = "MPI_Send";
  Communicator& communicator = communicatorOf(comm);
  const size_t bytes = elementsOf(kName, count) * checked(kName, type).bytes;
  checkTag(kName, tag);
  if (peer == communicator.rank()) {
    communicator.sendToSelf({static_cast<const std::byte*>(data), bytes});
  } else {
    communicator.call(Call(kName, bytes, type, nullptr, peer),
                      [&](const auto& group) { return group->send(data, bytes, DataType::Uint8, peer); });
  }
  return kSuccess;
}

int MPI_Recv(void* data, int count, Datatype* type, int peer, int tag, CommunicatorHandle* comm,
             MessageStatus* status) {
  constexpr const char* kName = "MPI_Recv";
  Communicator& communicator = communicatorOf(comm);
  const size_t bytes = elementsOf(kName, count) * checked(kName, type).bytes;
  checkTag(kName, tag);
  if (peer == communicator.rank()) {
    communicator.receiveFromSelf({static_cast<std::byte*>(data), bytes});
  } else {
    communicator.call(Call(kName, bytes, type, nullptr, peer),
                      [&](const auto& group) { return group->recv(data, bytes, DataType::Uint8, peer); });
  }
  if (status != nullptr) *status = {peer, 0, kSuccess, 0, bytes};
  return kSuccess;
}

int MPI_Type_contiguous(int count, Datatype* old, Datatype** made) {
  constexpr const char* kName = "MPI_Type_contiguous";
  auto* type = new Datatype;  // MLX makes two and never frees them
  type->bytes = elementsOf(kName, count) * checked(kName, old).bytes;
  type->name = "a type made by MPI_Type_contiguous";
  if (type->bytes == 0) refuse(kName, "the type would have no bytes");
  *made = type;
  return kSuccess;
}

int MPI_Type_commit(Datatype**) { return kSuccess; }

int MPI_Op_create(UserFunction* function, int, Operation** made) {
  auto* operation = new Operation;  // MLX makes eight and never frees them
  operation->user = function;
  *made = operation;
  return kSuccess;
}
