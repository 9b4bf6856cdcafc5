#include <algorithm>
#include <array>

#include "transport/create.h"
#include "transport/failure.h"
#include "transport/mesh_group.h"

namespace espalier::transport {
namespace {

/// What ranks tell each other in a split; fixed size, so that one all-gather carries it.
struct Entry {
  int32_t color, key;
  uint16_t dataPort;
  char dataHost[250];
};

}  // namespace

/// The child builds links of its own, with the parent as its rendezvous: the two may be used in any order and by
/// different threads. Liveness is the parent's.
std::unique_ptr<Group> MeshGroup::splitOrThrow(int color, int key, Status& status) {
  if (liveness_->dead()) {
    status = mesh_.cause();
    return nullptr;
  }
  mesh_.begin();
  // A team's calls do not meet with those over links: say there what is called here.
  status = oneTeam() ? fromTeam(team_->barrier(Operation::Split)) : Status::success();
  if (!status.ok()) return nullptr;
  const Family& family = *identity_.family;
  const Member& self = family.members[family.rank];
  DataPort dataPort;
  status = openDataPort(self.dataHost, deadlineAfterMs(liveness_->timeoutMs()), dataPort);
  if (!status.ok()) {
    status.rank = mesh_.rank();
    status = mesh_.fail(std::move(status));
    return nullptr;
  }
  Entry own{color, key, dataPort.port, {}};
  self.dataHost.copy(own.dataHost, sizeof own.dataHost - 1);
  std::vector<Entry> entries(static_cast<size_t>(size()));
  status = collectives_.allGather(&own, entries.data(), sizeof own, DataType::Uint8, Operation::Split);
  if (!status.ok()) return nullptr;

  std::vector<int> members;  // ranks of this group, in the child's order
  for (int rank = 0; rank < size(); ++rank) {
    if (entries[rank].color == color) members.push_back(rank);
  }
  std::stable_sort(members.begin(), members.end(), [&](int a, int b) { return entries[a].key < entries[b].key; });

  Mesh::Place place = mesh_.place();
  place.size = static_cast<int>(members.size());
  place.familyRanks.clear();
  Wiring wiring{0, {}, family.secret, family.epoch, family.notices, identity_.family, {}};
  place.groupId = splitGroupId(mesh_.place().groupId, ++splits_, color);
  for (int i = 0; i < place.size; ++i) {
    const int rank = members[i];
    if (rank == mesh_.rank()) place.rank = wiring.rank = i;
    place.familyRanks.push_back(mesh_.place().familyRanks[rank]);
    Member member = family.members[place.familyRanks[i]];
    member.dataHost = entries[rank].dataHost;
    member.dataPort = entries[rank].dataPort;
    wiring.members.push_back(std::move(member));
  }
  wiring.familyRanks = place.familyRanks;
  return buildGroup(wiring, std::move(place), std::move(dataPort), liveness_, identity_, deadlineAfterMs(kLinksMs),
                    status);
}

}  // namespace espalier::transport
