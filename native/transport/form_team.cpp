#include "transport/form_team.h"

#include <algorithm>
#include <cstring>

namespace espalier::transport {
namespace {

/// What ranks tell each other first; fixed size, so that one all-gather carries it.
struct TeamOffer {
  uint64_t arenaBytes;
  Digest nonce;
  uint8_t pairsShare;  ///< this rank shares memory with each other candidate
  char name[71];       ///< of the segment; empty unless this rank is the lowest of its host
};

/// And then.
struct TeamAnswer {
  uint8_t mapped;
  char trouble[255];
};

std::vector<int> candidatesFor(int rank, const std::vector<Member>& members) {
  constexpr auto kBit = static_cast<uint8_t>(1u << static_cast<unsigned>(LinkKind::SharedMemory));
  std::vector<int> candidates;
  for (int other = 0; other < static_cast<int>(members.size()); ++other) {
    const bool both = (members[rank].linkMask & members[other].linkMask & kBit) != 0;
    if (both && members[rank].hostId == members[other].hostId) candidates.push_back(other);
  }
  return candidates;
}

/// The lowest rank's part: a segment that the others can open.
Status offerSegment(int members, TeamSegment& segment, TeamOffer& own) {
  if (!randomNonce(own.nonce)) return Status::failure("LinkUnavailable", "no random bytes");
  const Status status = TeamSegment::create(members, own.nonce, segment);
  if (!status.ok()) return status;
  own.arenaBytes = segment.arenaBytes();
  segment.name().copy(own.name, sizeof own.name - 1);
  return status;
}

}  // namespace

Status formTeam(Mesh& mesh, Collectives& collectives, const std::vector<Member>& members, Notices& notices,
                std::unique_ptr<HostTeam>& team) {
  const int self = mesh.rank();
  bool anyTeam = false;
  for (int rank = 0; rank < mesh.size(); ++rank) anyTeam |= candidatesFor(rank, members).size() > 1;
  if (!anyTeam) return Status::success();
  const std::vector<int> candidates = candidatesFor(self, members);
  const auto count = static_cast<int>(candidates.size());
  const bool leads = count > 1 && candidates[0] == self;
  TeamOffer own{};
  own.pairsShare = std::all_of(candidates.begin(), candidates.end(), [&](int peer) {
    return peer == self || (mesh.place().via[peer] == kDirect && mesh.link(peer)->kind() == LinkKind::SharedMemory);
  });
  TeamSegment segment;
  Status made;
  if (leads && own.pairsShare) made = offerSegment(count, segment, own);
  std::vector<TeamOffer> offers(members.size());
  Status status = collectives.allGather(&own, offers.data(), sizeof own, DataType::Uint8, Operation::Split);
  if (!status.ok()) return status;

  const bool allShare = count > 1 && std::all_of(candidates.begin(), candidates.end(),
                                                 [&](int peer) { return offers[peer].pairsShare != 0; });
  if (allShare && !leads) {
    TeamOffer& offer = offers[candidates[0]];
    offer.name[sizeof offer.name - 1] = 0;
    if (offer.name[0] != 0) made = TeamSegment::open(offer.name, count, offer.arenaBytes, offer.nonce, segment);
  }
  TeamAnswer answer{};
  answer.mapped = allShare && made.ok() && offers[candidates[0]].name[0] != 0;
  made.message.copy(answer.trouble, sizeof answer.trouble - 1);
  std::vector<TeamAnswer> answers(members.size());
  status = collectives.allGather(&answer, answers.data(), sizeof answer, DataType::Uint8, Operation::Split);
  if (!status.ok()) return status;
  segment.seal();
  if (!allShare) return status;
  for (const int peer : candidates) {
    if (answers[peer].trouble[0] == 0) continue;
    notices.tell("team " + std::to_string(peer),
                 "ranks of this host share memory in pairs only, which is slower: rank " + std::to_string(peer) +
                     " could not map the common segment: " + std::string(answers[peer].trouble));
  }
  TeamSeat seat;
  for (const int peer : candidates) {
    if (answers[peer].mapped == 0) return status;
    if (peer == self) seat.index = static_cast<int>(seat.members.size());
    seat.members.push_back(peer);
    seat.familyRanks.push_back(mesh.place().familyRanks[peer]);
  }
  seat.operationTimeoutMs = mesh.place().operationTimeoutMs;
  seat.crowded = mesh.place().crowded;
  // Programs split groups by the dozen, and make few calls on most of the parts.
  if (!seat.crowded && mesh.place().groupId == 0) segment.takeRings();
  team = std::make_unique<HostTeam>(std::move(segment), std::move(seat), mesh.liveness());
  return status;
}

}  // namespace espalier::transport
