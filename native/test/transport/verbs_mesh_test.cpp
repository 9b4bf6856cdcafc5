// Over the devices of the guest in test/rdma/: groups whose ranks are not all joined by cables, and what a device has
// few of.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "test/transport/faults.h"
#include "test/transport/product.h"
#include "test/transport/shapes.h"
#include "transport/verbs/device.h"
#include "transport/verbs/settle.h"

namespace espalier::test {
namespace {

/// As cabled; a rank names no device for a peer that it has no wire to.
GroupOptions cabledOptions(Shape shape, int rank, int size, Board* board) {
  GroupOptions options = shapedOptions(shape, rank, size, LinkKind::Verbs, board);
  std::erase_if(options.verbsCables, [&](const transport::VerbsCable& cable) {
    const std::vector<int>& peers = options.directPeers;
    return !peers.empty() && std::find(peers.begin(), peers.end(), cable.peer) == peers.end();
  });
  return options;
}

void checkCalls(Group& group) {
  for (const size_t count : {1u, 4'096u, 30'000u}) {
    const std::string what = std::to_string(count) + " elements,";
    checkReduce<float>(group, DataType::Float32, count, ReduceOp::Sum, {}, what);
    checkTransfers<float>(group, DataType::Float32, count, what);
  }
  CHECK_OK(group.barrier());
}

TEST("verbs: where cables are missing, ranks between pass the data on") {
  for (const Shape shape : {Shape::Ring, Shape::Star}) {
    SharedBoard board;
    Processes ranks(4, [&](int rank) {
      auto group = join(cabledOptions(shape, rank, 4, board.get()));
      for (const auto& peer : group->stats().peers) {
        const std::vector<int> wires = wiresOf(shape, rank, 4);
        const bool wired = std::find(wires.begin(), wires.end(), peer.rank) != wires.end();
        CHECK(peer.link == (wired ? LinkKind::Verbs : LinkKind::Tcp));
        CHECK_EQ(peer.via == -1, wired);
      }
      checkCalls(*group);
    });
    ranks.join(60);
  }
}

/// Works until the victim is struck; the survivors name it and are left with nothing.
void checkDeath(int signalNumber, int victim, const std::function<GroupOptions(int rank, Board*)>& optionsOf) {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    const int descriptors = descriptorsOfThisProcess();
    auto group = join(optionsOf(rank, board.get()));
    std::vector<float> data(5'000, 1.0f);
    Status status;
    while (status.ok()) {
      status = group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Max);
      board->marks[rank]++;
    }
    post(board.get(), rank, status);
    CHECK_EQ(status.code, signalNumber == SIGKILL ? "PeerLost" : "PeerStopped");
    CHECK_EQ(status.rank, victim);
    endQuietly(std::move(group), status, descriptors);
  });
  eventually("all ranks work", 20, [&] {
    return std::all_of(board->marks, board->marks + 4, [](const std::atomic<int>& mark) { return mark > 9; });
  });
  const int64_t struckNs = nowNs();
  ranks.signal(victim, signalNumber);
  ranks.join(20, {victim});
  for (int rank = 0; rank < 4; ++rank) {
    CHECK(rank == victim || secondsBetween(struckNs, board->times[rank]) < boundSeconds());
  }
}

TEST("verbs: the death of a rank that passes data on is told to all") {
  checkDeath(SIGKILL, 1, [](int rank, Board* board) { return cabledOptions(Shape::Ring, rank, 4, board); });
}

/// Hosts of two ranks each: shared memory within, a cable between 0 and 2, TCP elsewhere.
GroupOptions mixedOptions(int rank, Board* board) {
  GroupOptions options = optionsFor(rank, 4, LinkKind::Verbs, board);
  options.links = {LinkKind::SharedMemory, LinkKind::Verbs, LinkKind::Tcp};
  options.hostId = "host " + std::to_string(rank / 2);
  for (transport::VerbsCable& cable : options.verbsCables) {
    if (rank % 2 != 0 || cable.peer % 2 != 0) cable.device = "none";
  }
  return options;
}

TEST("verbs: one group with shared memory, verbs and TCP") {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    auto group = join(mixedOptions(rank, board.get()));
    for (const auto& peer : group->stats().peers) {
      const bool near = peer.rank / 2 == rank / 2, cabled = peer.rank % 2 == 0 && rank % 2 == 0;
      CHECK(peer.link == (near ? LinkKind::SharedMemory : cabled ? LinkKind::Verbs : LinkKind::Tcp));
    }
    checkCalls(*group);
  });
  ranks.join(60);
}

TEST("verbs: a rank stopped in a group of all three links is told to all") { checkDeath(SIGSTOP, 2, mixedOptions); }

TEST("verbs: the eleventh queue pair of a device like Apple's is refused with the limit, and one given back is used") {
  struct Notes {
    std::mutex mutex;
    std::string text;
  };
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    setenv("ESPALIER_VERBS_SEND_ONLY", "1", 1);
    Notes notes;
    GroupOptions options = optionsFor(rank, 2, LinkKind::Verbs, board.get());
    options.links = {LinkKind::Verbs, LinkKind::Tcp};
    options.onNoticeContext = &notes;
    options.onNotice = [](const char* text, void* context) {
      auto* into = static_cast<Notes*>(context);
      const std::lock_guard lock(into->mutex);
      into->text += text;
    };
    auto world = join(options);
    std::vector<std::unique_ptr<Group>> children;
    Status status;
    const auto linkOf = [](Group& group) { return group.stats().peers[0].link; };
    for (int i = 0; i < 9; ++i) {
      children.push_back(world->split(0, 0, status));
      CHECK_OK(status);
      CHECK(linkOf(*children.back()) == LinkKind::Verbs);
    }
    children.push_back(world->split(0, 0, status));
    CHECK_OK(status);
    CHECK(linkOf(*children.back()) == LinkKind::Tcp);
    CHECK(notes.text.find("verbs QueuePairLimit on rxe") != std::string::npos);
    CHECK(notes.text.find("a device has 10 for all processes together") != std::string::npos);
    CHECK_OK(children.back()->barrier());
    children.erase(children.begin());
    CHECK_OK(world->barrier());  // both have given theirs back
    children.push_back(world->split(0, 0, status));
    CHECK_OK(status);
    CHECK(linkOf(*children.back()) == LinkKind::Verbs);
  });
  ranks.join(30);
}

TEST("verbs: a set-up ends with the group, whatever the peer has yet to say") {
  namespace verbs = transport::verbs;
  transport::Socket own, peer, listener;
  uint16_t port = 0;
  CHECK_OK(transport::listenOn("127.0.0.1", 0, listener, port, transport::deadlineAfterMs(5'000)));
  CHECK_OK(transport::dialOnce("127.0.0.1", port, transport::deadlineAfterMs(5'000), -1, own));
  transport::PeerAddress from;
  eventually("the connection comes", 5, [&] { return (peer = transport::acceptOne(listener, from)).valid(); });
  // A peer that has all of this end's facts is this end: its queue pair talks to itself. It stops where both have heard.
  transport::FrameReader reader, peerReader;
  transport::WakePipe dead;
  std::thread mirror([&] {
    for (const bool answers : {true, true, false}) {
      transport::Frame frame;
      const auto deadline = transport::deadlineAfterMs(20'000);
      if (receiveFrame(peer.fd(), peerReader, frame, deadline, -1) != transport::FrameResult::Frame) return;
      if (answers) sendFrame(peer.fd(), frame.type, frame.payload);
    }
    dead.raise();
  });
  std::string why;
  const int64_t began = nowNs();
  std::unique_ptr<transport::Link> link;
  const Status status = settle(verbs::Shelf::ofProcess(), "rxe0",
                               {own.fd(), reader, transport::deadlineAfterMs(60'000), dead.fd()}, link, why);
  mirror.join();
  CHECK(link == nullptr);
  CHECK(!status.ok());
  CHECK(nowNs() - began < 30'000'000'000);
}

TEST("verbs: a device like Apple's has a hundred memory regions") {
  namespace verbs = transport::verbs;
  Processes one(1, [](int) {
    setenv("ESPALIER_VERBS_SEND_ONLY", "1", 1);
    std::string why;
    const auto device = verbs::Shelf::ofProcess().take("rxe0", why);
    CHECK(device != nullptr);
    CHECK(verbs::Shelf::ofProcess().take("rxe0", why) == device);
    for (int i = 0; i < 100; ++i) CHECK(device->take(verbs::Device::Scarce::Region));
    CHECK(!device->take(verbs::Device::Scarce::Region));
    device->give(verbs::Device::Scarce::Region);
    CHECK(device->take(verbs::Device::Scarce::Region));
  });
  one.join(10);
}

}  // namespace
}  // namespace espalier::test
