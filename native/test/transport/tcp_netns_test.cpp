#ifdef __linux__
#include <sched.h>
#endif
#include <poll.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <thread>

#include "test/transport/ranks.h"
#include "transport/tcp/tcp_link.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

bool canMakeNamespaces() {
#ifdef __linux__
  const bool can = geteuid() == 0 && std::system("ip link show lo >/dev/null 2>&1") == 0;
#else
  const bool can = false;
#endif
  if (!can) std::printf("SKIPPED network namespaces: they need Linux, root and ip (package iproute2)\n");
  return can;
}

void run(const std::string& command) { CHECK_EQ(std::system(command.c_str()), 0); }

/// Puts this rank into a network of its own, joined to the other's by two cables: one for data, one for the side
/// channel. It all goes with the two processes.
void enterNetwork(int rank, Board* board) {
#ifdef __linux__
  CHECK(unshare(CLONE_NEWNET) == 0);
#endif
  board->marks[10 + rank] = getpid();
  const int other = 1 - rank;
  eventually("the other network is there", 10, [&] { return board->marks[10 + other] != 0; });
  if (rank == 0) {
    for (const std::string cable : {"data", "side"}) {
      run("ip link add " + cable + "0 type veth peer name " + cable + "1 netns " +
          std::to_string(board->marks[11].load()));
    }
    board->marks[12] = 1;
  }
  eventually("the cables are there", 10, [&] { return board->marks[12] != 0; });
  const std::string own = std::to_string(rank), address = std::to_string(rank + 1);
  run("ip link set lo up && ip link set data" + own + " up && ip link set side" + own + " up && ip addr add 10.77.0." +
      address + "/24 dev data" + own + " && ip addr add 10.78.0." + address + "/24 dev side" + own);
}

/// Two ranks on two "hosts" reduce `count` floats for ever; `blow` strikes in the network of `struck`.
void checkBlow(int struck, const char* blow, size_t count, bool mayBeGone) {
  if (!canMakeNamespaces()) return;
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    enterNetwork(rank, board.get());
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.rendezvousHost = "10.78.0.1";
    options.dataHost = "10.77.0." + std::to_string(rank + 1);
    options.hostId = "host " + std::to_string(rank);
    auto group = join(options);
    std::thread striker;
    if (rank == struck) {
      striker = std::thread([&] {
        eventually("both work", 20, [&] { return board->marks[0] > 20 && board->marks[1] > 20; });
        board->times[10] = nowNs();
        run(blow);
      });
    }
    std::vector<float> data(count, 1.0f);
    Status status;
    while (status.ok()) {
      status = group->allReduce(data.data(), data.data(), count, DataType::Float32, ReduceOp::Max);
      board->marks[rank]++;
    }
    board->times[rank] = nowNs();
    if (striker.joinable()) striker.join();
    const bool gone = mayBeGone && (status.code == "PeerStopped" || status.code == "PeerLost");
    if (!gone) CHECK_EQ(status.code, "DataLost");
    // Whoever found out names the other one; who was told of it may find itself named.
    CHECK(status.rank == 0 || status.rank == 1);
    CHECK(status.link == "tcp" || status.rank == rank);
    CHECK(status.message.find("rank " + std::to_string(status.rank)) != std::string::npos);
  });
  ranks.join(30);
  for (int rank = 0; rank < 2; ++rank) {
    const double seconds = secondsBetween(board->times[10], board->times[rank]);
    std::printf("     rank %d knew after %.2f s\n", rank, seconds);
    CHECK(seconds < boundSeconds());
  }
}

constexpr size_t kDecodeCount = 4'096, kPrefillCount = 4 << 20;

TEST("netns: a cut data cable beside a live side channel is DataLost on both ranks, decode") {
  checkBlow(0, "ip link set data0 down", kDecodeCount, false);
}
TEST("netns: a cut data cable beside a live side channel is DataLost on both ranks, prefill") {
  checkBlow(1, "ip link set data1 down", kPrefillCount, false);
}
TEST("netns: a route that swallows the data is DataLost on both ranks, decode") {
  checkBlow(0, "ip route add blackhole 10.77.0.2/32", kDecodeCount, false);
}
TEST("netns: a route that swallows the data is DataLost on both ranks, prefill") {
  checkBlow(1, "ip route add blackhole 10.77.0.1/32", kPrefillCount, false);
}
TEST("netns: a host that is cut off altogether is known on both sides") {
  checkBlow(1, "ip link set data1 down && ip link set side1 down", kDecodeCount, true);
  checkBlow(0, "ip link set data0 down && ip link set side0 down", kPrefillCount, true);
}

/// Two ends of a TCP link on this process's loopback device.
std::pair<std::unique_ptr<transport::Link>, std::unique_ptr<transport::Link>> loopbackLink() {
  using namespace transport;
  Socket listener;
  uint16_t port = 0;
  CHECK_OK(listenOn("127.0.0.1", 0, listener, port, deadlineAfterMs(5'000)));
  std::vector<TcpSocket> left(1), right(1);
  CHECK_OK(dialOnce("127.0.0.1", port, deadlineAfterMs(5'000), -1, left[0].socket));
  CHECK(waitFor(listener.fd(), POLLIN, deadlineAfterMs(5'000), -1));
  PeerAddress from;
  right[0].socket = acceptOne(listener, from);
  return {makeTcpLink(std::move(left)), makeTcpLink(std::move(right))};
}

transport::LinkResult sendBytes(transport::Link& link, const std::vector<std::byte>& data) {
  transport::Header header;
  header.operation = transport::Operation::Send;
  header.pieceBytes = static_cast<uint32_t>(data.size());
  return link.trySend(header, data.data());
}

TEST("netns: a TCP link is unanswered when its path is gone, not when its peer is busy") {
  if (!canMakeNamespaces()) return;
  Processes alone(1, [](int) {
#ifdef __linux__
    CHECK(unshare(CLONE_NEWNET) == 0);
#endif
    run("ip link set lo up");
    constexpr std::chrono::milliseconds kPatience(300);
    auto [left, right] = loopbackLink();
    const std::vector<std::byte> data(left->maxPayloadBytes());
    // The peer takes nothing, so its window closes; its system goes on answering.
    while (sendBytes(*left, data) == transport::LinkResult::Done) continue;
    for (const int64_t until = nowNs() + 1'500'000'000; nowNs() < until; usleep(20'000)) {
      CHECK(!left->isUnanswered(kPatience));
    }
    auto [near, far] = loopbackLink();
    CHECK(sendBytes(*near, std::vector<std::byte>(64)) == transport::LinkResult::Done);
    CHECK(!near->isUnanswered(kPatience));
    run("ip link set lo down");
    CHECK(sendBytes(*near, std::vector<std::byte>(64)) == transport::LinkResult::Done);
    eventually("the silence is noticed", 10, [&] { return near->isUnanswered(kPatience); });
    CHECK(std::strlen(near->why()) > 0);
  });
  alone.join(10);
}

}  // namespace
}  // namespace espalier::test
