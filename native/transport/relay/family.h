#pragma once
#include <memory>
#include <string>
#include <vector>

#include "transport/notices.h"
#include "transport/relay/wire_graph.h"
#include "transport/rendezvous/handshake.h"

namespace espalier::transport {

/// What all ranks of the first group know of each other, and a split keeps.
struct Family {
  int rank = 0;
  std::vector<Member> members;
  std::string secret;
  uint64_t epoch = 0;
  WireGraph graph;
  std::shared_ptr<Notices> notices;
  std::vector<VerbsCable> verbsCables;  ///< of this rank

  /// The RDMA device on the cable to that rank; "" when none is named.
  std::string verbsDeviceTo(int peer) const {
    for (const VerbsCable& cable : verbsCables) {
      if (cable.peer == peer) return cable.device;
    }
    return "";
  }
};

}  // namespace espalier::transport
