#pragma once
#include <memory>
#include <vector>

#include "transport/collectives/mesh.h"
#include "transport/notices.h"
#include "transport/relay/family.h"

namespace espalier::transport {

/// Where a rank waits for the others to build links to it.
struct DataPort {
  Socket listener;
  uint16_t port = 0;
};
Status openDataPort(const std::string& host, Deadline deadline, DataPort& dataPort);

uint8_t maskOf(const std::vector<LinkKind>& links);

/// What connectAll needs to know of the group that is being built.
struct Wiring {
  int rank = 0;
  std::vector<Member> members;
  std::string secret;
  uint64_t epoch = 0;
  std::shared_ptr<Notices> notices;
  std::shared_ptr<const Family> family;
  std::vector<int> familyRanks;  ///< of the members

  bool wired(int peer) const { return family->graph.wired(familyRanks[rank], familyRanks[peer]); }
};

/// Builds one link to every other rank: each pair settles on the best that both allow. The higher rank dials the
/// lower one; the connection then carries the offer of shared memory, or becomes the link itself. Two ranks without a
/// wire are joined through the ranks between them, always by TCP: those relay bytes.
/// Fails with LinkUnavailable, or with what befell a connection meanwhile: FrameCorrupt, PeerLost, RendezvousTimeout; or
/// with OutOfDescriptors. When the liveness watch's failure ends it, the status has nothing to add. `status.rank` counts
/// in this group.
Status connectAll(const Wiring& wiring, DataPort dataPort, const Liveness& liveness, Deadline deadline,
                  std::vector<std::unique_ptr<Link>>& links);

}  // namespace espalier::transport
