#include "transport/create.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <new>
#include <system_error>
#include <thread>

#include "transport/failure.h"
#include "transport/verbs/device.h"

namespace espalier::transport {
namespace {

constexpr int kMaxRanks = 64;
constexpr size_t kMaxNameBytes = 200;
constexpr int kMaxLivenessMs = 2'000;
constexpr int kMinLivenessMs = 100;
/// A peer that dies during set-up shows first as a connection that ended; its death is known this much later at most.
constexpr int kVerdictMs = 500;

Status check(const GroupOptions& options) {
  const auto invalid = [](const std::string& message) { return failure("InvalidArgument", message); };
  if (options.size < 1 || options.size > kMaxRanks) {
    return invalid("size is " + std::to_string(options.size) + ", must be 1 to " + std::to_string(kMaxRanks));
  }
  if (options.rank < 0 || options.rank >= options.size) {
    return invalid("rank is " + std::to_string(options.rank) + ", must be 0 to " + std::to_string(options.size - 1));
  }
  if (options.livenessTimeoutMs < kMinLivenessMs || options.livenessTimeoutMs > kMaxLivenessMs) {
    return invalid("livenessTimeoutMs is " + std::to_string(options.livenessTimeoutMs) + ", must be " +
                   std::to_string(kMinLivenessMs) + " to " + std::to_string(kMaxLivenessMs));
  }
  // Rank 0 sends all members' in one frame.
  if (options.hostId.size() > kMaxNameBytes) return invalid("hostId is longer than 200 bytes");
  if (options.dataHost.size() > kMaxNameBytes) return invalid("dataHost is longer than 200 bytes");
  if (options.rendezvousTimeoutMs <= 0) return invalid("rendezvousTimeoutMs must be above 0");
  if (options.size > 1 && options.rank > 0 && options.rendezvousPort == 0) {
    return invalid("rendezvousPort is 0: only rank 0 may listen on any free port");
  }
  if (options.size > 1 && options.secret.empty()) return invalid("secret is empty; the group needs one");
  if (options.size > 1 && options.links.empty()) {
    return failure("LinkUnavailable", "links is empty; allow shm, verbs, tcp or several of them");
  }
  std::string why;
  if (options.size > 1 && maskOf(options.links) == maskOf({LinkKind::Verbs}) && !verbs::present(why)) {
    return failure("LinkUnavailable", "verbs alone are allowed: " + why, -1, linkName(LinkKind::Verbs));
  }
  for (const int peer : options.directPeers) {
    if (peer >= 0 && peer < options.size && peer != options.rank) continue;
    return invalid("directPeers names rank " + std::to_string(peer) + ", which is no other rank of " +
                   std::to_string(options.size));
  }
  return Status::success();
}

uint64_t wiresOf(const GroupOptions& options) {
  uint64_t wires = options.directPeers.empty() ? ~uint64_t{0} : 0;
  for (const int peer : options.directPeers) wires |= uint64_t{1} << peer;
  return wires;
}

std::shared_ptr<const Family> familyOf(const GroupOptions& options, const std::vector<Member>& members,
                                       std::shared_ptr<Notices> notices) {
  std::vector<uint64_t> wires;
  for (const Member& member : members) wires.push_back(member.wires);
  return std::make_shared<const Family>(
      Family{options.rank, members, options.secret, options.epoch, WireGraph(wires), std::move(notices), options.verbsCables});
}

/// The shortest that any rank was given. A rank beats as often as its own timeout asks for: one with a shorter one would take
/// it for stopped.
int livenessTimeoutOf(const std::vector<Member>& members) {
  const auto isShorter = [](const Member& one, const Member& other) { return one.livenessTimeoutMs < other.livenessTimeoutMs; };
  return std::max<int>(kMinLivenessMs, std::min_element(members.begin(), members.end(), isShorter)->livenessTimeoutMs);
}

/// Ranks that share this host and its cores.
bool isCrowded(const std::vector<Member>& members, const Member& self) {
  const auto here = std::count_if(members.begin(), members.end(),
                                  [&](const Member& member) { return member.hostId == self.hostId; });
  return here > static_cast<int64_t>(std::max(1u, std::thread::hardware_concurrency()));
}

std::unique_ptr<Group> createOrThrow(const GroupOptions& options, Status& status) {
  status = check(options);
  if (!status.ok()) return nullptr;
  const Deadline deadline = deadlineAfterMs(options.rendezvousTimeoutMs);
  Member self;
  self.hostId = options.hostId;
  self.linkMask = maskOf(options.links);
  self.dataHost = options.dataHost;
  self.livenessTimeoutMs = static_cast<uint16_t>(options.livenessTimeoutMs);
  const auto notices = std::make_shared<Notices>(options);
  self.wires = wiresOf(options);
  DataPort dataPort, relayPort;
  Roster roster;
  if (options.size == 1) {
    roster.members = {self};
  } else {
    status = openDataPort(options.dataHost, deadline, dataPort);
    self.dataPort = dataPort.port;
    if (status.ok() && options.size > 2) status = openDataPort(options.dataHost, deadline, relayPort);
    self.relayPort = relayPort.port;
    if (status.ok()) status = rendezvous(options, self, deadline, *notices, roster);
    if (!status.ok()) {
      if (status.code == "OutOfDescriptors") status.rank = options.rank;
      return nullptr;
    }
  }
  const auto family = familyOf(options, roster.members, notices);
  const std::string parts = family->graph.separateParts();
  if (!parts.empty()) {
    status = failure("LinkUnavailable", "the wires that directPeers names leave the group in parts that nothing joins: " +
                                            parts + "; a wire counts only if both its ends name it");
    return nullptr;
  }
  auto liveness = std::make_shared<Liveness>(options.rank, options.size, livenessTimeoutOf(roster.members),
                                             std::move(roster.control));
  Mesh::Place place;
  place.rank = options.rank;
  place.size = options.size;
  for (int rank = 0; rank < options.size; ++rank) place.familyRanks.push_back(rank);
  place.operationTimeoutMs = options.operationTimeoutMs;
  place.crowded = isCrowded(roster.members, self);
  const Wiring wiring{options.rank, roster.members, options.secret, options.epoch, notices, family, place.familyRanks};
  MeshGroup::Identity identity{family, nullptr};
  if (family->graph.relays(options.rank)) {
    identity.relay = std::make_shared<RelayService>(family, std::move(relayPort.listener), liveness);
  }
  relayPort = {};
  return buildGroup(wiring, std::move(place), std::move(dataPort), std::move(liveness), std::move(identity),
                    deadlineAfterMs(kLinksMs), status);
}

/// Ranks per host, if a hierarchy over the hosts keeps the order of the balanced tree; else 0.
int perHostOf(const std::vector<Member>& members) {
  const auto sameHost = [&](const Member& member) { return member.hostId == members[0].hostId; };
  const auto perHost = std::count_if(members.begin(), members.end(), sameHost);
  const auto count = static_cast<int64_t>(members.size());
  if (perHost < 2 || perHost == count || count % perHost != 0 || (perHost & (perHost - 1)) != 0) return 0;
  for (int64_t rank = 0; rank < count; ++rank) {
    const bool first = rank % perHost == 0;
    if (first && std::count_if(members.begin(), members.end(), [&](const Member& member) {
                   return member.hostId == members[rank].hostId;
                 }) != perHost) {
      return 0;
    }
    if (!first && members[rank].hostId != members[rank - 1].hostId) return 0;
  }
  return static_cast<int>(perHost);
}

Cabling cablingOf(const Wiring& wiring) {
  const std::vector<Member>& members = wiring.members;
  const int size = static_cast<int>(members.size());
  const WireGraph graph = wiring.family->graph.among(wiring.familyRanks);
  Cabling cabling;
  cabling.shape.ranks = size;
  cabling.shape.everyPairWired = graph.complete();
  cabling.ring = graph.ring();
  cabling.shape.ringOfWires = !cabling.ring.empty();
  cabling.shape.perHost = perHostOf(members);
  int hosts = 0;
  for (int rank = 0; rank < size; ++rank) {
    hosts += std::none_of(members.begin(), members.begin() + rank,
                          [&](const Member& member) { return member.hostId == members[rank].hostId; });
  }
  cabling.shape.uniform = hosts == 1 || hosts == size;
  for (int root = 0; root < size && graph.separateParts().empty(); ++root) cabling.towards.push_back(graph.treeFrom(root));
  return cabling;
}

/// The first rank on the way to each, as the group that is being built counts.
std::vector<int> viaOf(const Wiring& wiring) {
  std::vector<int> via(wiring.members.size(), kDirect);
  for (int peer = 0; peer < static_cast<int>(via.size()); ++peer) {
    if (peer == wiring.rank || wiring.wired(peer)) continue;
    const int next = wiring.family->graph.between(wiring.familyRanks[wiring.rank], wiring.familyRanks[peer]).front();
    const auto found = std::find(wiring.familyRanks.begin(), wiring.familyRanks.end(), next);
    via[peer] = found == wiring.familyRanks.end() ? kViaOutside : static_cast<int>(found - wiring.familyRanks.begin());
  }
  return via;
}

Status couldNotSetUp(const std::exception& error) {
  const std::string what = "this rank could not set itself up";
  const auto* system = dynamic_cast<const std::system_error*>(&error);
  const int code = system != nullptr ? system->code().value() : 0;
  if (isShortage(code)) return outOfDescriptors(what, code);
  const std::string text = what + ": " + error.what();
  // What the system says when it has no thread to give (pthread_create(3)).
  if (code == EAGAIN) return failure("OutOfMemory", text + "; it needs more threads (ulimit -u) or memory (ulimit -v)");
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return failure("OutOfMemory", text + "; see ulimit -v");
  return failure("RendezvousRefused", text);
}

}  // namespace

std::unique_ptr<Group> buildGroup(const Wiring& wiring, Mesh::Place place, DataPort dataPort,
                                  std::shared_ptr<Liveness> liveness, MeshGroup::Identity identity, Deadline deadline,
                                  Status& status) {
  std::vector<std::unique_ptr<Link>> links;
  const std::vector<int> familyRanks = place.familyRanks;
  place.via = viaOf(wiring);
  if (place.size > 1) {
    status = connectAll(wiring, std::move(dataPort), *liveness, deadline, links);
  } else {
    links.resize(1);
  }
  if (!status.ok()) {
    // Behind a connection that ended, or a rank that cannot be reached, may be a death. All else is to be known before
    // what follows from it: that this rank's connections end.
    const bool isUnreachable = status.code == "LinkUnavailable" && status.link == linkName(LinkKind::Tcp);
    const bool unexplained = status.code == "PeerLost" || isUnreachable;
    if (unexplained && status.rank != wiring.rank) waitFor(liveness->wakeFd(), POLLIN, deadlineAfterMs(kVerdictMs), -1);
    if (status.rank >= 0) status.rank = familyRanks[status.rank];
    liveness->fail(status);
    status = liveness->cause();
    return nullptr;
  }
  auto group = std::make_unique<MeshGroup>(std::move(place), std::move(links), std::move(liveness),
                                           std::move(identity), cablingOf(wiring));
  status = group->settle();
  if (!status.ok()) return nullptr;
  return group;
}

std::unique_ptr<Group> Group::create(const GroupOptions& options, Status& status) {
  try {
    return createOrThrow(options, status);
  } catch (const std::exception& error) {
    status = couldNotSetUp(error);
    status.rank = options.rank;
    return nullptr;
  }
}

}  // namespace espalier::transport
