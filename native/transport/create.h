#pragma once
#include "transport/mesh_group.h"

namespace espalier::transport {

/// For links among ranks that are all there and begin at once: it takes a fraction of a second, with many ranks on few
/// cores.
inline constexpr int kLinksMs = 20'000;

/// Builds the links that `wiring` asks for and meets all members at a barrier. On failure null, and the whole
/// family is dead, everywhere.
std::unique_ptr<Group> buildGroup(const Wiring& wiring, Mesh::Place place, DataPort dataPort,
                                  std::shared_ptr<Liveness> liveness, MeshGroup::Identity identity, Deadline deadline,
                                  Status& status);

}  // namespace espalier::transport
