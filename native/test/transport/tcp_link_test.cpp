#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "test/transport/ranks.h"
#include "transport/tcp/tcp_link.h"
#include "transport/tcp/tcp_sockets.h"
#include "transport/wire/payload_sum.h"
#include "transport/wire/seal.h"

namespace espalier::test {
namespace {

using namespace espalier::transport;

/// Two ends of a link over `count` loopback connections. `bufferBytes`: what the kernel may hold unsent, 0: its own
/// choice. (A small receive window would stall every exchange for the 40 ms of a delayed acknowledgement.)
struct TcpEnds {
  std::vector<TcpSocket> a, b;
  std::unique_ptr<Link> left, right;

  explicit TcpEnds(int count, int bufferBytes = 0) {
    Socket listener;
    uint16_t port = 0;
    CHECK_OK(listenOn("127.0.0.1", 0, listener, port, deadlineAfterMs(5'000)));
    for (int i = 0; i < count; ++i) {
      Socket dialed, accepted;
      CHECK_OK(dialOnce("127.0.0.1", port, deadlineAfterMs(5'000), -1, dialed));
      CHECK(waitFor(listener.fd(), POLLIN, deadlineAfterMs(5'000), -1));
      PeerAddress from;
      accepted = acceptOne(listener, from);
      for (const int fd : {dialed.fd(), accepted.fd()}) {
        if (bufferBytes > 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bufferBytes, sizeof bufferBytes);
      }
      a.push_back({std::move(dialed), {}});
      b.push_back({std::move(accepted), {}});
    }
  }
  void makeLinks() {
    left = makeTcpLink(std::move(a));
    right = makeTcpLink(std::move(b));
  }
};

Header headerFor(size_t bytes, uint32_t sequence) {
  Header header;
  header.operation = Operation::Send;
  header.sequence = sequence;
  header.callBytes = bytes;
  header.pieceBytes = static_cast<uint32_t>(bytes);
  return header;
}

std::vector<std::byte> patternOf(size_t bytes, uint32_t seed) {
  std::vector<std::byte> data(bytes);
  uint32_t state = seed * 2'654'435'761u + 1;
  for (std::byte& one : data) {
    state = state * 1'664'525u + 1'013'904'223u;
    one = static_cast<std::byte>(state >> 24);
  }
  return data;
}

/// Sends one message and takes it, by turns.
void carry(Link& from, Link& to, size_t bytes, uint32_t sequence, bool aimed) {
  const auto data = patternOf(bytes, sequence);
  std::vector<std::byte> target(bytes + 1);
  const Header header = headerFor(bytes, sequence);
  bool sent = false;
  Message message;
  const int64_t deadline = nowNs() + 10'000'000'000;
  for (LinkResult result = LinkResult::NotYet; result != LinkResult::Done;) {
    if (!sent) sent = from.trySend(header, data.data()) == LinkResult::Done;
    if (aimed) to.aim(target.data(), bytes);
    result = to.tryReceive(message);
    CHECK(result == LinkResult::Done || result == LinkResult::NotYet);
    CHECK(nowNs() < deadline);
  }
  CHECK(sent);
  CHECK(message.header == header);
  CHECK(bytes == 0 || std::memcmp(message.payload, data.data(), bytes) == 0);
  CHECK(reinterpret_cast<uintptr_t>(message.payload) % 8 == 0 || message.payload == target.data());
  to.release();
}

TEST("a TCP link carries every size over 1 to 4 sockets, however small the kernel's buffers") {
  for (const int sockets : {1, 2, 3, 4}) {
    for (const int bufferBytes : {0, 8'192}) {
      TcpEnds ends(sockets, bufferBytes);
      ends.makeLinks();
      uint32_t sequence = 0;
      for (const size_t bytes : {0, 1, 7, 8, 9, 4'095, 32'767, 32'768, 32'769, 131'071, 131'072, 131'073, 262'144, 1'048'576}) {
        carry(*ends.left, *ends.right, bytes, sequence, sequence % 2 == 0);
        carry(*ends.right, *ends.left, bytes, sequence, sequence % 2 == 1);
        ++sequence;
      }
    }
  }
}

TEST("a TCP link takes three long messages in while one is held, so that no two ranks block each other") {
  for (const int sockets : {1, 4}) {
    TcpEnds ends(sockets, 2'048);
    ends.makeLinks();
    const size_t bytes = ends.left->maxPayloadBytes();
    const auto data = patternOf(bytes, 1);
    Message held;
    bool holds = false;
    for (uint32_t sequence = 0; sequence < 4; ++sequence) {
      const int64_t deadline = nowNs() + 10'000'000'000;
      while (ends.left->trySend(headerFor(bytes, sequence), data.data()) != LinkResult::Done) {
        if (!holds) {
          holds = ends.right->tryReceive(held) == LinkResult::Done;
        } else {
          ends.right->progress();
        }
        CHECK(nowNs() < deadline);
      }
    }
    for (uint32_t sequence = 0; sequence < 4; ++sequence) {
      eventually("the message is whole", 10, [&] { return ends.right->tryReceive(held) == LinkResult::Done; });
      CHECK_EQ(held.header.sequence, sequence);
      CHECK(std::memcmp(held.payload, data.data(), bytes) == 0);
      ends.right->release();
    }
  }
}

TEST("a TCP link reads three long messages ahead while one is held, however long that goes on") {
  TcpEnds ends(4);
  ends.makeLinks();
  const size_t bytes = ends.left->maxPayloadBytes();
  const size_t wireBytes = sizeof(Header) + bytes + 4 * sizeof(uint64_t);
  const auto data = patternOf(bytes, 1);
  Message held;
  for (uint32_t sequence = 0; sequence < 16; ++sequence) {
    eventually("the message is on its way", 10, [&] {
      if (sequence > 0) ends.right->progress();
      return ends.left->trySend(headerFor(bytes, sequence), data.data()) == LinkResult::Done;
    });
    if (sequence > 3) ends.right->release();
    if (sequence == 0 || sequence > 3) {
      eventually("the next message is held", 10, [&] { return ends.right->tryReceive(held) == LinkResult::Done; });
      CHECK_EQ(held.header.sequence, sequence < 3 ? 0 : sequence - 3);
    }
    eventually("what follows has been read ahead", 10, [&] {
      ends.right->progress();
      return ends.right->bytesHeard() == (sequence + 1) * wireBytes;
    });
  }
}

TEST("a TCP link goes on when what it has read ahead ends within a header") {
  // Seven of the first socket's parts fill its stage but for 24 bytes: five messages of 1 MiB, rounded up to 8 bytes.
  TcpEnds ends(4);
  ends.makeLinks();
  std::vector<size_t> sizes(6, 4 * 187'200);
  sizes.push_back(4 * 187'456);
  sizes.push_back(64);
  std::vector<std::vector<std::byte>> payloads;
  for (const size_t bytes : sizes) payloads.push_back(patternOf(bytes, static_cast<uint32_t>(payloads.size())));
  for (uint32_t sequence = 0; sequence < sizes.size(); ++sequence) {
    eventually("the message is on its way", 10, [&] {
      ends.right->progress();
      return ends.left->trySend(headerFor(sizes[sequence], sequence), payloads[sequence].data()) == LinkResult::Done;
    });
  }
  // Until nothing more fits.
  for (uint64_t before = 1, now = 0; before != now;) {
    before = ends.right->bytesHeard();
    ends.right->progress();
    now = ends.right->bytesHeard();
  }
  for (uint32_t sequence = 0; sequence < sizes.size(); ++sequence) {
    Message message;
    eventually("the message is whole", 10, [&] { return ends.right->tryReceive(message) == LinkResult::Done; });
    CHECK(message.header == headerFor(sizes[sequence], sequence));
    CHECK(std::memcmp(message.payload, payloads[sequence].data(), sizes[sequence]) == 0);
    ends.right->release();
  }
}

#ifdef __linux__
TEST("a TCP connection within a host is not paced, whatever the system's choice is") {
  TcpEnds ends(1);
  sendUnpaced(ends.a[0].socket);
  char name[16] = {};
  socklen_t length = sizeof name;
  CHECK_EQ(getsockopt(ends.a[0].socket.fd(), IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
  CHECK_EQ(std::string(name), "reno");
}
#endif

TEST("bytes that came behind the handshake are the TCP link's first") {
  for (const size_t cut : {size_t{5}, size_t{32}, size_t{100}, size_t{40'040}}) {
    TcpEnds ends(1);
    const auto data = patternOf(40'000, 3);
    auto left = makeTcpLink(std::move(ends.a));
    CHECK(left->trySend(headerFor(data.size(), 0), data.data()) == LinkResult::Done);
    Bytes early(cut);
    size_t have = 0;
    eventually("the early bytes are there", 10, [&] {
      const ssize_t got = recv(ends.b[0].socket.fd(), early.data() + have, cut - have, MSG_DONTWAIT);
      have += got > 0 ? static_cast<size_t>(got) : 0;
      return have == cut;
    });
    ends.b[0].early = early;
    auto right = makeTcpLink(std::move(ends.b));
    std::vector<std::byte> target(data.size());
    Message message;
    eventually("the message is whole", 10, [&] {
      right->aim(target.data(), target.size());
      return right->tryReceive(message) == LinkResult::Done;
    });
    CHECK(std::memcmp(message.payload, data.data(), data.size()) == 0);
  }
}

/// What the receiving end makes of `stream`.
LinkResult receiveRaw(const Bytes& stream, bool aimed) {
  TcpEnds ends(1);
  const int raw = ends.a[0].socket.fd();
  CHECK_EQ(send(raw, stream.data(), stream.size(), 0), static_cast<ssize_t>(stream.size()));
  auto right = makeTcpLink(std::move(ends.b));
  std::vector<std::byte> target(40'000);
  Message message;
  LinkResult result = LinkResult::NotYet;
  eventually("the stream is judged", 10, [&] {
    if (aimed) right->aim(target.data(), target.size());
    result = right->tryReceive(message);
    return result != LinkResult::NotYet;
  });
  return result;
}

TEST("a TCP link tells a damaged stream from a message") {
  Header header = headerFor(40'000, 9);
  header.reserved = sealOf(header);
  Bytes whole(sizeof header + 40'000 + sizeof header.reserved);
  std::memcpy(whole.data(), &header, sizeof header);
  const auto payload = patternOf(40'000, 9);
  std::memcpy(whole.data() + sizeof header, payload.data(), payload.size());
  const uint64_t tail = header.reserved ^ payloadSum(payload.data(), payload.size());
  std::memcpy(whole.data() + whole.size() - 8, &tail, 8);
  for (const bool aimed : {false, true}) {
    CHECK(receiveRaw(whole, aimed) == LinkResult::Done);
    for (size_t byte = 0; byte < sizeof header; ++byte) {
      Bytes damaged = whole;
      damaged[byte] ^= 0x10;
      CHECK(receiveRaw(damaged, aimed) == LinkResult::Corrupted);
    }
    for (size_t byte = sizeof header; byte < whole.size(); byte += 1 + byte % 977) {
      Bytes damaged = whole;
      damaged[byte] ^= static_cast<uint8_t>(1u << byte % 8);
      CHECK(receiveRaw(damaged, aimed) == LinkResult::Corrupted);
    }
    Bytes shifted = whole;  // somebody put a byte into the payload
    shifted.insert(shifted.begin() + 20'000, 0x55);
    CHECK(receiveRaw(shifted, aimed) == LinkResult::Corrupted);
  }
}

/// The descriptors of this process that are TCP connections of the group's data, not of its side channel.
std::vector<int> dataSockets(int sidePort) {
  std::vector<int> found;
  for (int fd = 3; fd < 256; ++fd) {
    sockaddr_in local{}, remote{};
    socklen_t localLength = sizeof local, remoteLength = sizeof remote;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &localLength) != 0 || local.sin_family != AF_INET) continue;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&remote), &remoteLength) != 0) continue;
    if (ntohs(local.sin_port) != sidePort && ntohs(remote.sin_port) != sidePort) found.push_back(fd);
  }
  return found;
}

TEST("garbage on a data connection is FrameCorrupt on every rank, with rank and link") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::Tcp, board.get()));
    ++board->marks[0];
    if (rank == 1) {
      eventually("the set-up is over for all", 10, [&] { return board->marks[0] == 3; });
      // To rank 0: the connection that rank 1 dialed, the first of its two.
      const std::vector<int> sockets = dataSockets(board->port);
      CHECK_EQ(sockets.size(), 2u);
      for (const int fd : sockets) CHECK(send(fd, "no rank says this: 0123456789abcdef0123456789", 45, 0) == 45);
    }
    float value = 1;
    Status status;
    while (status.ok()) status = group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Max);
    CHECK_EQ(status.code, "FrameCorrupt");
    CHECK_EQ(status.rank, 1);
    CHECK_EQ(status.link, rank == 1 ? "" : "tcp");
    CHECK(status.message.find("rank 1") != std::string::npos);
  });
  ranks.join(10);
}

TEST("a pair of hosts has four TCP sockets and gets the same sums as a pair on one host") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    GroupOptions options = optionsFor(rank, 3, LinkKind::Tcp, board.get());
    options.hostId = "host " + std::to_string(rank / 2);  // ranks 0 and 1 share one
    auto group = join(options);
    CHECK_EQ(dataSockets(board->port).size(), rank == 2 ? 8u : 5u);
    for (const size_t count : {1u, 1'000u, 65'537u, 300'001u, 1'200'000u}) {
      std::vector<float> data(count);
      for (size_t i = 0; i < count; ++i) data[i] = static_cast<float>((i + static_cast<size_t>(rank)) % 1'000);
      CHECK_OK(group->allReduce(data.data(), data.data(), count, DataType::Float32, ReduceOp::Sum));
      for (size_t i = 0; i < count; ++i) {
        CHECK_EQ(data[i], static_cast<float>(i % 1'000 + (i + 1) % 1'000 + (i + 2) % 1'000));
      }
    }
  });
  ranks.join(20);
}

}  // namespace
}  // namespace espalier::test
