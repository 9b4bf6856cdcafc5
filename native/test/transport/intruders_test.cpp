#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "test/transport/strangers.h"
#include "transport/rendezvous/handshake.h"
#include "transport/wire/frame.h"

namespace espalier::test {
namespace {

using transport::Bytes;
using transport::ByteView;
using transport::Frame;
using transport::FrameReader;
using transport::FrameResult;
using transport::FrameType;
using transport::Socket;

/// Waits until the other side has closed the connection, or reset it.
void awaitRefusal(const Socket& socket) {
  char byte;
  eventually("the stranger is shown out", 10, [&] {
    const auto got = recv(socket.fd(), &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
  });
}

/// The same intrusion three times over is one line.
void checkReportedOnce(const std::function<void(Board*)>& intrude, const std::string& says) {
  Notebook notebook;
  formDespite([&](Board* board) {
    for (int i = 0; i < 3; ++i) intrude(board);
  }, notebook);
  CHECK_EQ(notebook.count(says), 1);
  CHECK_EQ(notebook.lines().size(), size_t{1});
}

TEST("a port scanner is reported once, with its address") {
  checkReportedOnce([](Board* board) {
    Socket socket = knock(board);
    shutdown(socket.fd(), SHUT_WR);
    awaitRefusal(socket);
  }, "port scanner");
}

TEST("garbage is reported once") {
  checkReportedOnce([](Board* board) {
    const Socket socket = knock(board);
    const std::string text = "GET / HTTP/1.1\r\nHost: espalier\r\n\r\n";
    say(socket, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    awaitRefusal(socket);
  }, "does not speak");
}

TEST("a stranger may not make a rank hold more than a hello's length") {
  checkReportedOnce([](Board* board) {
    const Socket socket = knock(board);
    const Bytes big(8'000);
    transport::sendFrame(socket.fd(), FrameType::Hello, big);
    awaitRefusal(socket);
  }, "does not speak");
}

void refusedWith(Board* board, const std::function<void(GroupOptions&)>& spoil, const char* code) {
  GroupOptions options = optionsFor(1, 2, LinkKind::Tcp, board);
  spoil(options);
  Status status;
  CHECK(Group::create(options, status) == nullptr);
  CHECK_EQ(status.code, std::string(code));
}

TEST("a wrong secret is reported once") {
  checkReportedOnce([](Board* board) {
    refusedWith(board, [](GroupOptions& options) { options.secret = "another"; }, "WrongSecret");
  }, "it holds another one");
}
TEST("a wrong epoch is reported once") {
  checkReportedOnce([](Board* board) {
    refusedWith(board, [](GroupOptions& options) { options.epoch = 6; }, "WrongEpoch");
  }, "epoch 7, rank 1 came with 6");
}
TEST("a wrong size is reported once") {
  checkReportedOnce([](Board* board) {
    refusedWith(board, [](GroupOptions& options) { options.size = 5; }, "WrongSize");
  }, "started for 5");
}

TEST("slow-loris connections delay nobody and are reported once") {
  Notebook notebook;
  std::vector<Socket> open;
  formDespite([&](Board* board) {
    for (int i = 0; i < 200; ++i) {  // more than are examined at a time
      open.push_back(knock(board));
      say(open.back(), ByteView(reinterpret_cast<const uint8_t*>("esp"), 1 + static_cast<size_t>(i % 3)));
    }
  }, notebook);
  CHECK(notebook.count("in time") == 1);
  CHECK(notebook.lines().size() <= 2);  // and one for the crowd
}


Frame nextFrame(const Socket& socket, FrameReader& reader) {
  Frame frame;
  CHECK(transport::receiveFrame(socket.fd(), reader, frame, transport::deadlineAfterMs(10'000), -1) ==
        FrameResult::Frame);
  return frame;
}

/// Passes everything between a right dialer and the rendezvous, and keeps the dialer's bytes.
Bytes overhear(Board* board, const Socket& listener) {
  transport::PeerAddress from;
  Socket inner;
  eventually("the right rank dials", 10, [&] {
    inner = transport::acceptOne(listener, from);
    return inner.valid();
  });
  const Socket outer = knock(board);
  Bytes recorded;
  // The dialer leaves once it is admitted: then it has said all it had to. Rank 0 may still speak to it.
  for (bool open = true; open;) {
    uint8_t chunk[4096];
    const auto pass = [&](const Socket& source, const Socket& target, Bytes* record) {
      const auto got = recv(source.fd(), chunk, sizeof chunk, MSG_DONTWAIT);
      if (got == 0) open = false;
      if (got <= 0) return;
      if (record != nullptr) record->insert(record->end(), chunk, chunk + got);
      transport::sendSome(target.fd(), chunk, static_cast<size_t>(got));
    };
    pass(inner, outer, &recorded);
    pass(outer, inner, nullptr);
    usleep(500);
  }
  return recorded;
}

TEST("a replay of all that a right rank said is refused, reported once, and the group still forms") {
  Notebook notebook;
  SharedBoard board;
  Socket listener;
  uint16_t port = 0;
  CHECK_OK(transport::listenOn("127.0.0.1", 0, listener, port, transport::deadlineAfterMs(5'000)));
  runThreads(5, [&](int thread) {
    if (thread == 4) {  // the eavesdropper, and then the replay
      eventually("rank 0 listens", 10, [&] { return board->port != 0; });
      const Bytes recorded = overhear(board.get(), listener);
      CHECK(recorded.size() > 100);
      for (int i = 0; i < 3; ++i) {
        const Socket socket = knock(board.get());
        say(socket, recorded);
        awaitRefusal(socket);
      }
      board->marks[0] = 1;
      return;
    }
    if (thread == 3) {  // a right rank 1 that comes by the detour, is admitted and leaves, as rank 2 is not there
      Socket socket;
      CHECK_OK(transport::dialOnce("127.0.0.1", port, transport::deadlineAfterMs(10'000), -1, socket));
      transport::Hello hello;
      hello.rank = 1;
      hello.size = 3;
      hello.epoch = 7;
      FrameReader reader;
      CHECK_OK(introduce({socket.fd(), reader, transport::deadlineAfterMs(10'000), -1}, "a secret for tests", hello));
      return;
    }
    if (thread > 0) eventually("the replay is through", 20, [&] { return board->marks[0] != 0; });
    GroupOptions options = optionsFor(thread, 3, LinkKind::Tcp, board.get());
    options.rendezvousTimeoutMs = 20'000;
    if (thread == 0) notebook.attachTo(options);
    CHECK_OK(join(options)->barrier());
  });
  CHECK_EQ(notebook.count("replays what it overheard"), 1);
}

Bytes helloOf(int rank) {
  transport::ByteWriter writer;
  writer.put(transport::kWireVersion);
  writer.putRaw(Bytes(32, 9));
  writer.put(static_cast<uint8_t>(transport::Purpose::Join));
  writer.put(static_cast<int32_t>(rank));
  writer.put(int32_t{2});
  writer.put(uint64_t{7});
  transport::Member{}.write(writer);
  return writer.bytes();
}

TEST("an acceptor's own proof, reflected, does not admit anybody") {
  checkReportedOnce([](Board* board) {
    const Socket socket = knock(board);
    FrameReader reader;
    CHECK(transport::sendFrame(socket.fd(), FrameType::Hello, helloOf(1)));
    const Frame challenge = nextFrame(socket, reader);
    CHECK(challenge.type == FrameType::Challenge);
    CHECK(transport::sendFrame(socket.fd(), FrameType::Proof, ByteView(challenge.payload).subspan(32, 32)));
    const Frame verdict = nextFrame(socket, reader);
    transport::ByteReader fields(verdict.payload);
    CHECK_EQ(transport::readStatus(fields).code, "WrongSecret");
    awaitRefusal(socket);
  }, "does not match this group's secret");
}

/// A rank 1 dials somebody who says `verdict` at once, instead of proving the secret. What its create returned.
Status afterVerdict(const Status& verdict) {
  Socket listener;
  uint16_t port = 0;
  CHECK_OK(transport::listenOn("127.0.0.1", 0, listener, port, transport::deadlineAfterMs(5'000)));
  SharedBoard board;
  board->port = port;
  Status status;
  std::vector<Socket> victims;
  runThreads(2, [&](int thread) {
    if (thread == 1) {
      GroupOptions options = optionsFor(1, 2, LinkKind::Tcp, board.get());
      options.rendezvousTimeoutMs = 3'000;
      CHECK(Group::create(options, status) == nullptr);
      board->marks[0] = 1;
      return;
    }
    while (board->marks[0] == 0) {
      transport::PeerAddress from;
      Socket victim = transport::acceptOne(listener, from);
      if (victim.valid()) {
        transport::sendVerdict(victim.fd(), verdict);
        victims.push_back(std::move(victim));
      }
      usleep(1'000);
    }
  });
  CHECK(!victims.empty());
  return status;
}

TEST("an impostor that admits a rank without proving the secret is not believed") {
  CHECK_EQ(afterVerdict(Status::success()).code, "RendezvousTimeout");
}

TEST("an impostor can blame nobody, and its words reach no terminal as they are") {
  Status lie;
  lie.code = "PeerLost";
  lie.message = "\x1b[2Jrank 1\ndied " + std::string(1'000, 'x');
  lie.rank = 77;
  lie.link = "tcp";
  const Status status = afterVerdict(lie);
  CHECK_EQ(status.code, "RendezvousRefused");
  CHECK_EQ(status.rank, -1);
  CHECK_EQ(status.link, "");
  CHECK(status.message.size() <= 400);
  CHECK(std::all_of(status.message.begin(), status.message.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

TEST("every challenge has a nonce of its own") {
  Notebook notebook;
  formDespite([](Board* board) {
    std::vector<Bytes> nonces;
    for (int i = 0; i < 8; ++i) {
      const Socket socket = knock(board);
      FrameReader reader;
      CHECK(transport::sendFrame(socket.fd(), FrameType::Hello, helloOf(1)));
      const Frame challenge = nextFrame(socket, reader);
      CHECK_EQ(challenge.payload.size(), size_t{64});
      nonces.emplace_back(challenge.payload.begin(), challenge.payload.begin() + 32);
    }
    std::sort(nonces.begin(), nonces.end());
    CHECK(std::adjacent_find(nonces.begin(), nonces.end()) == nonces.end());
  }, notebook);
}

}  // namespace
}  // namespace espalier::test
