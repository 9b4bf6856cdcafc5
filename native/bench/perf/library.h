#pragma once
#include <memory>
#include <string>

#include "bench/perf/board.h"
#include "bench/perf/cell.h"
#include "status.h"

namespace espalier::perf {

enum class Role : uint8_t { Input, Output };

/// What is measured, as one rank sees it. One object per process, made by the functions below.
class Library {
 public:
  virtual ~Library() = default;
  /// Memory of the library's own; null when it has none of that kind. Lives as long as the library.
  virtual void* allocate(size_t bytes, Role role) { return nullptr; }
  /// One timed unit: a call, or callsPerUnit(cell) of them.
  virtual Status run(const Cell& cell, const void* in, void* out) = 0;
};

/// Where a rank stands in the run.
struct Seat {
  Board* board = nullptr;
  int crew = 0;
  int rank = 0;
  int ranks = 2;
};

struct EspalierOptions {
  LinkKind link = LinkKind::SharedMemory;
  /// RDMA device of each rank; empty: the transport chooses.
  std::vector<std::string> verbsDevices;
};
std::unique_ptr<Library> openEspalier(const Seat& seat, const EspalierOptions& options, Status& status);

/// The least that a 2-rank all-reduce or a message can cost on this machine, by plain code: see floor.cpp.
struct FloorPlace {
  char* shared = nullptr;      ///< 2 ranks × 2 slots of `slotBytes`
  size_t slotBytes = 0;
  int sockets[2] = {-1, -1};   ///< the ends of one TCP connection over loopback
  struct Flag {
    alignas(128) std::atomic<uint32_t> value;
  };
  Flag* flags = nullptr;
};
/// Made before the ranks are forked. Null message: success.
std::string makeFloorPlace(size_t slotBytes, FloorPlace& place);
void closeFloorPlace(FloorPlace& place);
std::unique_ptr<Library> openFloor(const Seat& seat, const FloorPlace& place);
/// Microseconds of a 64 KiB exchange just now: says how near to each other the host has put the two cores.
double probeUs(Library& floor);

/// Open MPI's library by dlopen; sets the rank and the number of ranks of `seat` from its world.
std::unique_ptr<Library> openMpi(Seat& seat, Status& status);

}  // namespace espalier::perf
