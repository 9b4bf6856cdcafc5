#include "mpi/abi.h"

// The objects whose addresses are the ABI's handles.

using espalier::mpi::Arithmetic;
using espalier::mpi::CommunicatorHandle;
using espalier::mpi::Datatype;
using espalier::mpi::HandleKind;
using espalier::mpi::Operation;
using espalier::transport::DataType;
using espalier::transport::ReduceOp;

#define ESPALIER_TYPE(symbol, arithmetic, type, bytes) \
  Datatype symbol = {HandleKind::Datatype, Arithmetic::arithmetic, DataType::type, bytes, #symbol}

constinit CommunicatorHandle ompi_mpi_comm_world;

constinit Operation ompi_mpi_op_sum = {HandleKind::Operation, ReduceOp::Sum, nullptr, {}};
constinit Operation ompi_mpi_op_max = {HandleKind::Operation, ReduceOp::Max, nullptr, {}};
constinit Operation ompi_mpi_op_min = {HandleKind::Operation, ReduceOp::Min, nullptr, {}};

constinit ESPALIER_TYPE(ompi_mpi_c_bool, Bool, Uint8, 1);
constinit ESPALIER_TYPE(ompi_mpi_int8_t, Transport, Int8, 1);
constinit ESPALIER_TYPE(ompi_mpi_uint8_t, Transport, Uint8, 1);
constinit ESPALIER_TYPE(ompi_mpi_int16_t, Transport, Int16, 2);
constinit ESPALIER_TYPE(ompi_mpi_uint16_t, Transport, Uint16, 2);
constinit ESPALIER_TYPE(ompi_mpi_int32_t, Transport, Int32, 4);
constinit ESPALIER_TYPE(ompi_mpi_uint32_t, Transport, Uint32, 4);
constinit ESPALIER_TYPE(ompi_mpi_int64_t, Transport, Int64, 8);
constinit ESPALIER_TYPE(ompi_mpi_uint64_t, Transport, Uint64, 8);
constinit ESPALIER_TYPE(ompi_mpi_float, Transport, Float32, 4);
constinit ESPALIER_TYPE(ompi_mpi_double, Float64, Uint8, 8);
constinit ESPALIER_TYPE(ompi_mpi_c_complex, Transport, Complex64, 8);
