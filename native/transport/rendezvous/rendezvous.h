#pragma once
#include <vector>

#include "transport/group.h"
#include "transport/rendezvous/acceptor.h"

namespace espalier::transport {

/// A connection of the side channel: rank 0 has one to every rank, every other rank one to rank 0.
struct ControlConnection {
  int rank = -1;
  Socket socket;
  FrameReader reader;
};

struct Roster {
  std::vector<Member> members;  ///< by rank
  std::vector<ControlConnection> control;
};

/// Brings all ranks together at rank 0. Fails with RendezvousTimeout (names who is missing), WrongSecret,
/// WrongEpoch, WrongSize, DuplicateRank, RendezvousRefused, AddressInUse or InvalidArgument.
Status rendezvous(const GroupOptions& options, const Member& self, Deadline deadline, Notices& notices,
                  Roster& roster);

}  // namespace espalier::transport
