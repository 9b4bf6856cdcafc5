#include <fcntl.h>
#include <sys/socket.h>

#include "test/transport/detour.h"
#include "test/transport/ranks.h"
#include "transport/create.h"

/// Every step of a link's set-up comes to harm in turn: each rank must hear what happened, and between whom.
namespace espalier::test {
namespace {

using namespace espalier::transport;

constexpr const char* kSecret = "a secret for tests";

/// A group in this process. Rank `dialer` reaches rank 0, or the relay on the way there, by a detour.
struct Scene {
  int size;
  std::vector<LinkKind> links;
  bool oneHost;
  std::vector<uint64_t> wires;

  int dialer() const { return size - 1; }
};

const Scene kSockets{2, {LinkKind::Tcp}, false, {~0ull, ~0ull}};
const Scene kSharedMemory{2, {LinkKind::SharedMemory}, true, {~0ull, ~0ull}};
/// Without a library or a device named, the two tell each other that there is none.
const Scene kNoVerbs{2, {LinkKind::Verbs, LinkKind::Tcp}, true, {~0ull, ~0ull}};
const Scene kRelayed{3, {LinkKind::Tcp}, true, {0b010, 0b101, 0b010}};

struct Outcome {
  std::vector<Status> statuses;
  int counts[2];
};

/// The star of the side channel, as rendezvous() leaves it.
std::vector<std::vector<ControlConnection>> sideChannels(int size) {
  std::vector<std::vector<ControlConnection>> control(static_cast<size_t>(size));
  for (int rank = 1; rank < size; ++rank) {
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    for (const int fd : fds) CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    control[0].push_back({rank, Socket(fds[0]), {}});
    control[rank].push_back({0, Socket(fds[1]), {}});
  }
  return control;
}

/// What building the group comes to on `rank`.
Status build(const Scene& scene, int rank, std::vector<Member> members, DataPort dataPort, Socket relayListener,
             std::vector<ControlConnection> control, int patienceMs) {
  const auto notices = std::make_shared<Notices>();
  const auto family =
      std::make_shared<const Family>(Family{rank, members, kSecret, 7, WireGraph(scene.wires), notices, {}});
  auto liveness = std::make_shared<Liveness>(rank, scene.size, 10'000, std::move(control));
  Mesh::Place place;
  place.rank = rank;
  place.size = scene.size;
  place.crowded = true;
  for (int one = 0; one < scene.size; ++one) place.familyRanks.push_back(one);
  const Wiring wiring{rank, members, kSecret, 7, notices, family, place.familyRanks};
  MeshGroup::Identity identity{family, nullptr};
  if (family->graph.relays(rank)) {
    identity.relay = std::make_shared<RelayService>(family, std::move(relayListener), liveness);
  }
  Status status;
  buildGroup(wiring, std::move(place), std::move(dataPort), std::move(liveness), std::move(identity),
             deadlineAfterMs(patienceMs), status);
  return status;
}

Outcome buildDespite(const Scene& scene, Harm harm, int patienceMs = 60'000) {
  std::vector<DataPort> dataPorts(static_cast<size_t>(scene.size)), relayPorts(dataPorts.size());
  std::vector<Member> members(dataPorts.size());
  for (int rank = 0; rank < scene.size; ++rank) {
    CHECK_OK(openDataPort("127.0.0.1", deadlineAfterMs(5'000), dataPorts[rank]));
    CHECK_OK(openDataPort("127.0.0.1", deadlineAfterMs(5'000), relayPorts[rank]));
    Member& member = members[rank];
    member.hostId = scene.oneHost ? "the host" : "host " + std::to_string(rank);
    member.linkMask = maskOf(scene.links);
    member.dataHost = "127.0.0.1";
    member.dataPort = dataPorts[rank].port;
    member.relayPort = relayPorts[rank].port;
    member.wires = scene.wires[rank];
  }
  const bool relayed = scene.size > 2;
  Detour detour(relayed ? members[1].relayPort : members[0].dataPort, harm);
  auto seenByDialer = members;
  (relayed ? seenByDialer[1].relayPort : seenByDialer[0].dataPort) = detour.port();
  auto control = sideChannels(scene.size);
  Outcome outcome;
  outcome.statuses.resize(members.size());
  runThreads(scene.size, [&](int rank) {
    outcome.statuses[rank] =
        build(scene, rank, rank == scene.dialer() ? seenByDialer : members, std::move(dataPorts[rank]),
              std::move(relayPorts[rank].listener), std::move(control[rank]), patienceMs);
  });
  for (const bool toDialer : {false, true}) outcome.counts[toDialer] = detour.count(toDialer);
  return outcome;
}

/// What `status` must say of a link between rank 0 and `dialer`. When time is up, all whom the dialer keeps waiting may be
/// the first to say so.
bool tells(const Status& status, Harm::Kind kind, int dialer) {
  const auto names = [&](int rank) { return status.message.find("rank " + std::to_string(rank)) != std::string::npos; };
  if (status.rank < 0 || !names(dialer)) return false;
  return kind == Harm::Kind::Silence || (names(0) && status.link == "tcp");
}

/// Each frame of both ways in turn, all at once. Every rank must end with `code`, and name the two ends.
void harmEach(const Scene& scene, Harm::Kind kind, const std::string& code) {
  const Outcome whole = buildDespite(scene, {});
  for (const Status& status : whole.statuses) CHECK_OK(status);
  CHECK(whole.counts[0] >= 3 && whole.counts[1] >= 3);
  std::vector<Harm> harms;
  for (const bool toDialer : {false, true}) {
    for (int frame = 0; frame < whole.counts[toDialer]; ++frame) harms.push_back({kind, toDialer, frame});
  }
  runThreads(static_cast<int>(harms.size()), [&](int index) {
    const Harm& harm = harms[index];
    const Outcome outcome = buildDespite(scene, harm, kind == Harm::Kind::Silence ? 1'500 : 60'000);
    for (const Status& status : outcome.statuses) {
      if (status.code == code && tells(status, kind, scene.dialer())) continue;
      throw CheckFailure("frame " + std::to_string(harm.frame) + " to the " + (harm.toDialer ? "dialer: " : "dialled: ") +
                         status.code + " (rank " + std::to_string(status.rank) + ", link " + status.link +
                         "): " + status.message);
    }
  });
}

TEST("garbage at any step of a TCP link's set-up is FrameCorrupt on every rank") {
  harmEach(kSockets, Harm::Kind::Garbage, "FrameCorrupt");
}
TEST("garbage at any step of a shared-memory link's set-up is FrameCorrupt on every rank") {
  harmEach(kSharedMemory, Harm::Kind::Garbage, "FrameCorrupt");
}
TEST("garbage while two ranks find that they have no verbs is FrameCorrupt on every rank") {
  harmEach(kNoVerbs, Harm::Kind::Garbage, "FrameCorrupt");
}
TEST("garbage at any step of a relayed link's set-up is FrameCorrupt on every rank") {
  harmEach(kRelayed, Harm::Kind::Garbage, "FrameCorrupt");
}
TEST("a connection that breaks at any step of a link's set-up is PeerLost on every rank") {
  for (const Scene& scene : {kSockets, kSharedMemory, kNoVerbs, kRelayed}) harmEach(scene, Harm::Kind::Cut, "PeerLost");
}
TEST("an answer that never comes in a link's set-up is RendezvousTimeout on every rank") {
  for (const Scene& scene : {kSockets, kSharedMemory, kNoVerbs, kRelayed}) {
    harmEach(scene, Harm::Kind::Silence, "RendezvousTimeout");
  }
}
TEST("two ranks that have admitted each other do not wait for an answer as long as for the others") {
  for (const bool toDialer : {false, true}) {
    const int64_t began = nowNs();
    const Outcome outcome = buildDespite(kSockets, {Harm::Kind::Silence, toDialer, 2});
    for (const Status& status : outcome.statuses) CHECK_EQ(status.code, "RendezvousTimeout");
    CHECK(nowNs() - began < 30'000'000'000);
  }
}

}  // namespace
}  // namespace espalier::test
