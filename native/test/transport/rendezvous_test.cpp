#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "test/transport/detour.h"
#include "test/transport/strangers.h"
#include "transport/rendezvous/acceptor.h"
#include "transport/wire/frame.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

void checkRefused(const std::function<void(GroupOptions&)>& spoil, const char* code, const char* says) {
  formDespite([&](Board* board) {
    GroupOptions options = optionsFor(1, 2, LinkKind::Tcp, board);
    spoil(options);
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, std::string(code));
    CHECK(status.message.find(says) != std::string::npos);
  });
}

TEST("a wrong secret is refused, and the group still forms") {
  checkRefused([](GroupOptions& options) { options.secret = "another"; }, "WrongSecret", "secret");
}
TEST("a wrong epoch is refused with both epochs, and the group still forms") {
  checkRefused([](GroupOptions& options) { options.epoch = 6; }, "WrongEpoch", "epoch 7, rank 1 came with 6");
}
TEST("a wrong size is refused with both sizes, and the group still forms") {
  checkRefused([](GroupOptions& options) { options.size = 3; }, "WrongSize", "2 ranks, rank 1 was started for 3");
}

TEST("a second rank 1 is refused while the first one waits") {
  SharedBoard board;
  runThreads(4, [&](int thread) {
    if (thread == 3) {  // the first rank 1 goes away again, after the double
      eventually("rank 0 listens", 10, [&] { return board->port != 0; });
      transport::Socket first = knock(board.get());
      transport::Hello hello;
      hello.rank = 1;
      hello.size = 3;
      hello.epoch = 7;
      transport::FrameReader reader;
      CHECK_OK(introduce({first.fd(), reader, transport::deadlineAfterMs(10'000), -1}, "a secret for tests", hello));
      Status status;
      CHECK(Group::create(optionsFor(1, 3, LinkKind::Tcp, board.get()), status) == nullptr);
      CHECK_EQ(status.code, "DuplicateRank");
      first.close();
      board->marks[0] = 1;
      return;
    }
    GroupOptions options = optionsFor(thread, 3, LinkKind::Tcp, board.get());
    if (thread > 0) eventually("the double was refused", 10, [&] { return board->marks[0] != 0; });
    CHECK_OK(join(options)->barrier());
  });
}

TEST("another wire version is refused with both versions") {
  formDespite([](Board* board) {
    const transport::Socket socket = knock(board);
    transport::ByteWriter hello;
    hello.put(uint16_t{99});
    CHECK(transport::sendFrame(socket.fd(), transport::FrameType::Hello, hello.bytes()));
    transport::FrameReader reader;
    transport::Frame frame;
    CHECK(transport::receiveFrame(socket.fd(), reader, frame, transport::deadlineAfterMs(10'000), -1) ==
          transport::FrameResult::Frame);
    CHECK(frame.type == transport::FrameType::Verdict);
    transport::ByteReader fields(frame.payload);
    const Status verdict = transport::readStatus(fields);
    CHECK_EQ(verdict.code, "RendezvousRefused");
    CHECK(verdict.message.find("99") != std::string::npos);
  });
}

TEST("scanners and garbage neither block nor break the rendezvous") {
  std::vector<transport::Socket> open;
  formDespite([&](Board* board) {
    const std::string junk[] = {"", "GET / HTTP/1.1\r\n\r\n", "esp", std::string("esp\1\xff\xff\xff\xff", 8),
                                std::string("esp\1\0\0\0\0", 8), std::string("esp\3\4\0\0\0abcd", 12),
                                std::string(100'000, '\0'), std::string("esp\1\x10\0\0\0\1\0", 10)};
    for (int round = 0; round < 25; ++round) {
      for (const std::string& bytes : junk) {
        transport::Socket socket = knock(board);
        transport::sendSome(socket.fd(), bytes.data(), bytes.size());
        if (round % 2 == 0) open.push_back(std::move(socket));  // some stay and say no more
      }
    }
  });
}

TEST("slow: a rank that waits while another one's link is settled is not refused as silent") {
  transport::GroupOptions options;
  transport::Notices notices(options);
  const std::string secret = "a secret for tests";
  transport::Socket listener, first, second;
  uint16_t port = 0;
  CHECK_OK(transport::listenOn("127.0.0.1", 0, listener, port, transport::deadlineAfterMs(5'000)));
  const auto admitted = [&](const transport::Socket& socket, int rank) {
    transport::Hello hello;
    hello.rank = rank;
    transport::FrameReader reader;
    return transport::introduce({socket.fd(), reader, transport::deadlineAfterMs(20'000), -1}, secret, hello);
  };
  int arrived = 0;
  Status firstStatus, secondStatus;
  std::thread settler, waiter;
  transport::Acceptor acceptor(
      std::move(listener), secret, "data port", notices, [](const transport::Hello&) { return Status::success(); },
      [&](transport::Arrival arrival) {
        if (arrived++ > 0) return;
        // Longer than an examination may take, and the other one has not said a word when it begins.
        waiter = std::thread([&] { secondStatus = admitted(second, 2); });
        usleep(3'200'000);
      });
  for (transport::Socket* socket : {&first, &second}) {
    CHECK_OK(transport::dialOnce("127.0.0.1", port, transport::deadlineAfterMs(10'000), -1, *socket));
    acceptor.step(1'000, -1);
  }
  settler = std::thread([&] { firstStatus = admitted(first, 1); });
  const transport::Deadline late = transport::deadlineAfterMs(10'000);
  while (arrived < 2 && transport::Clock::now() < late) acceptor.step(10, -1);
  settler.join();
  waiter.join();
  CHECK_OK(firstStatus);
  CHECK_OK(secondStatus);
}

TEST("ranks may start in any order") {
  SharedBoard board;
  // Rank 0 comes last, and the others have to know where. Below the ports that systems hand out themselves: one of
  // those could be taken meanwhile, even by a rank that dials it and is given it as its own.
  transport::Socket probe;
  uint16_t port = 0;
  for (uint16_t wish = static_cast<uint16_t>(20'000 + getpid() % 10'000); port == 0 && wish < 32'000; ++wish) {
    if (!transport::listenOn("127.0.0.1", wish, probe, port, transport::deadlineAfterMs(5'000)).ok()) port = 0;
  }
  CHECK(port != 0);
  probe.close();
  runThreads(3, [&](int rank) {
    GroupOptions options = optionsFor(0, 3, LinkKind::SharedMemory, board.get());
    options.rank = rank;
    options.rendezvousPort = port;
    if (rank == 0) usleep(300'000);
    CHECK_OK(join(options)->barrier());
  });
}

TEST("a rank that dies while the group forms may come again") {
  SharedBoard board;
  runThreads(4, [&](int thread) {
    if (thread == 3) {  // a rank 1 that gives up early
      GroupOptions options = optionsFor(1, 3, LinkKind::Tcp, board.get());
      options.rendezvousTimeoutMs = 200;
      Status status;
      CHECK(Group::create(options, status) == nullptr);
      CHECK_EQ(status.code, "RendezvousTimeout");
      board->marks[0] = 1;
      return;
    }
    GroupOptions options = optionsFor(thread, 3, LinkKind::Tcp, board.get());
    if (thread > 0) eventually("the first rank 1 is gone", 10, [&] { return board->marks[0] != 0; });
    CHECK_OK(join(options)->barrier());
  });
}

/// What becomes of a rank 1 for whom, once it is admitted, the frame after the first `frames` is garbage.
Status createDespiteGarbage(Board* board, int size, int frames) {
  eventually("rank 0 listens", 10, [&] { return board->port != 0; });
  // Before it come a challenge and a verdict.
  const Detour detour(static_cast<uint16_t>(board->port), {Harm::Kind::Garbage, true, 2 + frames});
  GroupOptions options = optionsFor(1, size, LinkKind::Tcp, board);
  options.rendezvousPort = detour.port();
  options.rendezvousTimeoutMs = 60'000;
  Status status;
  CHECK(Group::create(options, status) == nullptr);
  return status;
}

void checkDamage(const Status& status) {
  CHECK_EQ(status.code, "FrameCorrupt");
  CHECK_EQ(status.rank, 0);
  CHECK(status.message.find("the side connection from rank 0 to rank 1") != std::string::npos);
}

TEST("garbage where the roster should be is FrameCorrupt on both sides") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    // The roster follows one word on who is missing.
    if (rank == 1) return checkDamage(createDespiteGarbage(board.get(), 2, 1));
    Status status;
    CHECK(Group::create(optionsFor(0, 2, LinkKind::Tcp, board.get()), status) == nullptr);
    checkDamage(status);
  });
}

TEST("a rank that gets garbage while the group forms hears so, and may come again") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    if (rank == 1) {
      checkDamage(createDespiteGarbage(board.get(), 3, 0));
      board->marks[0] = 1;
    }
    GroupOptions options = optionsFor(rank, 3, LinkKind::Tcp, board.get());
    if (rank == 2) eventually("rank 1 has heard", 10, [&] { return board->marks[0] != 0; });
    CHECK_OK(join(options)->barrier());
  });
}

TEST("a rendezvous that fails names the ranks that are missing, on those that came") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 4, LinkKind::Tcp, board.get());
    if (rank == 0) options.rendezvousTimeoutMs = 3'000;  // rank 1 is told long before its own time is up
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "RendezvousTimeout");
    CHECK(status.message.find("4 ranks: 2, 3") != std::string::npos);
    CHECK_EQ(status.rank, 2);
  });
}

TEST("a rendezvous that fails blames who never came, before one who came and went") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 3, LinkKind::Tcp, board.get());
    options.rendezvousTimeoutMs = rank == 0 ? 6'000 : 3'000;
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "RendezvousTimeout");
    CHECK_EQ(status.rank, 2);
    const char* const text = rank == 0 ? "3 ranks: 1, 2 (came, but did not stay: 1)" : "3 ranks: 2";
    CHECK(status.message.find(text) != std::string::npos);
  });
}

TEST("a rendezvous that fails says whom it refused") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    if (rank == 0) options.rendezvousTimeoutMs = 3'000;
    if (rank == 1) options.epoch = 8;
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, rank == 0 ? "RendezvousTimeout" : "WrongEpoch");
    CHECK(status.message.find("epoch 7, rank 1 came with 8") != std::string::npos);
  });
}

TEST("nobody at the rendezvous is a RendezvousTimeout that blames rank 0") {
  SharedBoard board;
  board->port = 1;  // nobody listens on port 1
  GroupOptions options = optionsFor(1, 2, LinkKind::Tcp, board.get());
  options.rendezvousTimeoutMs = 200;
  Status status;
  CHECK(Group::create(options, status) == nullptr);
  CHECK_EQ(status.code, "RendezvousTimeout");
  CHECK_EQ(status.rank, 0);
}

TEST("a rendezvous port that is taken is AddressInUse") {
  transport::Socket taken;
  uint16_t port = 0;
  CHECK_OK(transport::listenOn("127.0.0.1", 0, taken, port, transport::deadlineAfterMs(5'000)));
  SharedBoard board;
  GroupOptions options = optionsFor(0, 2, LinkKind::Tcp, board.get());
  options.rendezvousPort = port;
  Status status;
  CHECK(Group::create(options, status) == nullptr);
  CHECK_EQ(status.code, "AddressInUse");
}

TEST("options that cannot work are refused before anything is opened") {
  struct Row {
    const char* code;
    std::function<void(GroupOptions&)> spoil;
  };
  const Row rows[] = {
      {"InvalidArgument", [](GroupOptions& o) { o.size = 0; }},
      {"InvalidArgument", [](GroupOptions& o) { o.size = 65; }},
      {"InvalidArgument", [](GroupOptions& o) { o.rank = 2; }},
      {"InvalidArgument", [](GroupOptions& o) { o.rank = -1; }},
      {"InvalidArgument", [](GroupOptions& o) { o.rank = 1; }},  // port 0 is for rank 0
      {"InvalidArgument", [](GroupOptions& o) { o.secret = ""; }},
      {"InvalidArgument", [](GroupOptions& o) { o.livenessTimeoutMs = 2'001; }},
      {"InvalidArgument", [](GroupOptions& o) { o.rendezvousTimeoutMs = 0; }},
      {"InvalidArgument", [](GroupOptions& o) { o.dataHost = "192.0.2.1"; }},
      {"LinkUnavailable", [](GroupOptions& o) { o.links = {}; }},
      {"LinkUnavailable", [](GroupOptions& o) { o.links = {LinkKind::Verbs}; }},
  };
  for (const Row& row : rows) {
    SharedBoard board;
    GroupOptions options = optionsFor(0, 2, LinkKind::Tcp, board.get());
    row.spoil(options);
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, std::string(row.code));
  }
}

uint16_t ownPort(const transport::Socket& socket) {
  sockaddr_in own{};
  socklen_t length = sizeof own;
  CHECK_EQ(getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&own), &length), 0);
  return ntohs(own.sin_port);
}

TEST("a dialer never takes itself for the one it dials") {
  // A port that a dialer was given once, on which nobody listens: sooner or later a dial is given that very port again,
  // and would meet itself.
  uint16_t port = 0;
  {
    transport::Socket listener, dialer;
    CHECK_OK(transport::listenOn("127.0.0.1", 0, listener, port, transport::deadlineAfterMs(5'000)));
    CHECK_OK(transport::dialOnce("127.0.0.1", port, transport::deadlineAfterMs(5'000), -1, dialer));
    port = ownPort(dialer);
  }
  for (int dial = 0; dial < 100'000; ++dial) {
    transport::Socket socket;
    const Status status = transport::dialOnce("127.0.0.1", port, transport::deadlineAfterMs(5'000), -1, socket);
    // Another process may have been given the port to listen on, but nobody can be at both ends.
    if (status.ok()) CHECK(ownPort(socket) != port);
    if (!status.ok()) CHECK_EQ(status.code, "Unreachable");
  }
}

TEST("ranks without a common link say so, and all hear which and why") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    Status status;
    GroupOptions options = optionsFor(rank, 3, rank == 0 ? LinkKind::Tcp : LinkKind::SharedMemory, board.get());
    if (rank == 2) options.links = {LinkKind::SharedMemory, LinkKind::Tcp};
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "LinkUnavailable");
    for (const char* part : {"rank 0 allows tcp on host", "rank 1 allows shm on host"}) {
      CHECK(status.message.find(part) != std::string::npos);
    }
  });
}

TEST("ranks on different hosts take tcp though shared memory is allowed") {
  SharedBoard board;
  runThreads(3, [&](int rank) {
    GroupOptions options = optionsFor(rank, 3, LinkKind::Tcp, board.get());
    options.links = {LinkKind::SharedMemory, LinkKind::Tcp};
    options.hostId = rank == 2 ? "far" : "near";
    auto group = join(options);
    float value = 1;
    CHECK_OK(group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_EQ(value, 3.0f);
    for (const auto& peer : group->stats().peers) {
      CHECK(peer.link == (rank == 2 || peer.rank == 2 ? LinkKind::Tcp : LinkKind::SharedMemory));
    }
  });
}

}  // namespace
}  // namespace espalier::test
