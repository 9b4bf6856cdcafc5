#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <deque>
#include <mutex>

#include "test/transport/ranks.h"
#include "transport/collectives/mesh.h"

namespace espalier::test {
namespace {

using transport::Header;
using transport::Incoming;
using transport::LinkResult;
using transport::Liveness;
using transport::Mesh;
using transport::Outgoing;

/// Twice the patience with a link that loses messages.
constexpr int kLivenessMs = 1'500;

/// Two ends of a pair that live in one process, and a switch that makes it swallow what is sent.
struct Wire {
  std::mutex mutex;
  std::deque<Header> lanes[2];
  std::atomic<bool> swallows{false}, blocked{false};
};

class TestLink final : public transport::Link {
 public:
  TestLink(Wire& wire, int side) : wire_(wire), side_(side) {}
  LinkKind kind() const override { return LinkKind::Verbs; }
  LinkResult trySend(const Header& header, const void*) override {
    if (wire_.blocked) return LinkResult::NotYet;
    const std::lock_guard lock(wire_.mutex);
    if (!wire_.swallows) wire_.lanes[side_].push_back(header);
    return LinkResult::Done;
  }
  LinkResult tryReceive(transport::Message& message) override {
    const std::lock_guard lock(wire_.mutex);
    if (wire_.lanes[1 - side_].empty()) return LinkResult::NotYet;
    message.header = wire_.lanes[1 - side_].front();
    return LinkResult::Done;
  }
  void release() override {
    const std::lock_guard lock(wire_.mutex);
    wire_.lanes[1 - side_].pop_front();
  }
  void leave() override {}
  void park(bool, int64_t timeoutUs) override { usleep(static_cast<useconds_t>(timeoutUs)); }

 private:
  Wire& wire_;
  const int side_;
};

/// A star of `size` ranks in this process whose links are all TestLinks.
struct Family {
  explicit Family(int size) : wires(static_cast<size_t>(size) * size) {
    std::vector<std::vector<transport::ControlConnection>> control(static_cast<size_t>(size));
    for (int rank = 1; rank < size; ++rank) {
      int fds[2];
      CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
      for (const int fd : fds) CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
      control[0].push_back({rank, transport::Socket(fds[0]), {}});
      control[rank].push_back({0, transport::Socket(fds[1]), {}});
    }
    for (int rank = 0; rank < size; ++rank) {
      std::vector<std::unique_ptr<transport::Link>> links(static_cast<size_t>(size));
      Mesh::Place place;
      place.rank = rank;
      place.size = size;
      place.groupId = 5;
      place.via.assign(static_cast<size_t>(size), -1);
      for (int peer = 0; peer < size; ++peer) {
        place.familyRanks.push_back(peer);
        if (peer != rank) links[peer] = std::make_unique<TestLink>(wire(rank, peer), rank < peer ? 0 : 1);
      }
      auto liveness = std::make_shared<Liveness>(rank, size, kLivenessMs, std::move(control[rank]));
      meshes.push_back(std::make_unique<Mesh>(std::move(place), std::move(links), std::move(liveness)));
    }
  }
  Wire& wire(int a, int b) { return wires[static_cast<size_t>(std::min(a, b)) * meshCount() + std::max(a, b)]; }
  size_t meshCount() const { return static_cast<size_t>(std::sqrt(static_cast<double>(wires.size()))); }

  std::deque<Wire> wires;
  std::vector<std::unique_ptr<Mesh>> meshes;
};

Status exchangeWith(Mesh& mesh, int peer, bool send, bool receive) {
  std::vector<Outgoing> out;
  std::vector<Incoming> in;
  if (send) out.push_back({peer, Header{}, nullptr});
  if (receive) in.push_back({peer, Header{}});
  if (mesh.liveness()->dead()) return mesh.cause();
  mesh.begin();
  const Status status = mesh.exchange(out, in);
  if (status.ok()) mesh.release(in);
  return status;
}

void checkLost(const Status& status, int from, int to) {
  CHECK_EQ(status.code, "DataLost");
  CHECK_EQ(status.rank, from);
  CHECK_EQ(status.link, "verbs");
  const std::string way = "from rank " + std::to_string(from) + " to rank " + std::to_string(to);
  CHECK(status.message.find(way) != std::string::npos);
}

/// Ranks `a` and `b` of three talk well for a while, then `a`'s messages to `b` vanish. All three must hear of it.
void checkSwallowing(int a, int b, bool blocked) {
  Family family(3);
  runThreads(3, [&](int rank) {
    Mesh& mesh = *family.meshes[rank];
    if (rank != a && rank != b) {
      eventually("the third rank is told", 10, [&] { return mesh.liveness()->dead(); });
      return checkLost(mesh.cause(), a, b);
    }
    const int peer = rank == a ? b : a;
    for (int i = 0; i < 100; ++i) CHECK_OK(exchangeWith(mesh, peer, true, true));
    if (rank == b) {
      const int64_t began = nowNs();
      checkLost(exchangeWith(mesh, a, false, true), a, b);
      CHECK(secondsBetween(began, nowNs()) < boundSeconds());
    } else {
      (blocked ? family.wire(a, b).blocked : family.wire(a, b).swallows) = true;
      Status status = exchangeWith(mesh, b, true, false);
      if (status.ok()) status = exchangeWith(mesh, b, false, true);
      checkLost(status, a, b);
    }
  });
}

TEST("a link that swallows messages is DataLost on every rank, told by way of rank 0") { checkSwallowing(1, 2, false); }
TEST("a link from rank 0 that swallows messages is DataLost on every rank") { checkSwallowing(0, 2, false); }
TEST("a link that takes nothing though its receiver waits is DataLost on every rank") { checkSwallowing(2, 1, true); }

TEST("a message that nobody has asked for yet is not lost") {
  Family family(2);
  runThreads(2, [&](int rank) {
    Mesh& mesh = *family.meshes[rank];
    if (rank == 1) {
      for (int i = 0; i < 5; ++i) CHECK_OK(exchangeWith(mesh, 0, true, false));
      CHECK_OK(exchangeWith(mesh, 0, false, true));
      return;
    }
    usleep(2'000'000);  // well beyond the patience, in which the other's counts arrive
    CHECK(!mesh.liveness()->dead());
    for (int i = 0; i < 5; ++i) CHECK_OK(exchangeWith(mesh, 1, false, true));
    usleep(1'500'000);  // the other waits meanwhile
    CHECK_OK(exchangeWith(mesh, 1, true, false));
  });
}

TEST("a rank that is stopped for a second within large messages breaks nothing") {
  const LinkKind kinds[] = {LinkKind::Tcp, LinkKind::SharedMemory};
  SharedBoard boards[2];
  std::vector<std::unique_ptr<Processes>> groups;
  for (int i = 0; i < 2; ++i) {
    groups.push_back(std::make_unique<Processes>(2, [&](int rank) {
      auto group = join(optionsFor(rank, 2, kinds[i], boards[i].get()));
      std::vector<float> data(1 << 20, 1.0f);
      for (;;) {
        CHECK_OK(group->allReduce(data.data(), data.data(), data.size(), transport::DataType::Float32,
                                  transport::ReduceOp::Max));
        boards[i]->marks[rank]++;
      }
    }));
  }
  const auto awaitWork = [&] {
    const int before[] = {boards[0]->marks[0], boards[1]->marks[0]};
    eventually("both groups work", 20, [&] {
      return boards[0]->marks[0] > before[0] + 3 && boards[1]->marks[0] > before[1] + 3;
    });
  };
  for (int round = 0; round < 3; ++round) {
    awaitWork();
    const int64_t stopped = nowNs();
    for (const auto& group : groups) group->signal(round % 2, SIGSTOP);
    usleep(1'100'000);
    for (const auto& group : groups) group->signal(round % 2, SIGCONT);
    if (isLongPause(secondsBetween(stopped, nowNs()))) return;
  }
  awaitWork();
}

}  // namespace
}  // namespace espalier::test
