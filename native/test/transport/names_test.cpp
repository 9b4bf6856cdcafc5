#ifdef __linux__
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <set>
#include <thread>

#include "test/transport/faults.h"
#include "test/transport/network.h"
#include "transport/wire/socket.h"

/// Hosts by name, where the name servers are not what they should be.
namespace espalier::test {
namespace {

using transport::deadlineAfterMs;

/// Gives this process a system of its own whose only name server is 127.0.0.1, asked once in `secondsPerTry`, twice.
void moveWhereNamesAreServedHere(int secondsPerTry) {
  CHECK(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0);
  CHECK(std::system("ip link set lo up") == 0);
  CHECK(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  char path[] = "/tmp/espalier-resolv-XXXXXX";
  const int file = mkstemp(path);
  CHECK(file >= 0);
  dprintf(file, "nameserver 127.0.0.1\noptions timeout:%d attempts:2\n", secondsPerTry);
  close(file);
  CHECK(mount(path, "/etc/resolv.conf", nullptr, MS_BIND, nullptr) == 0);
  unlink(path);
}

transport::Socket nameServerPort() {
  transport::Socket port(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(port.fd(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return port;
}

/// Says that every name is 127.0.0.1 and has no IPv6 address (RFC 1035), but only to those who ask again.
void answerSecondQuestions(int port) {
  constexpr size_t kHeadBytes = 12;
  std::set<std::string> asked;
  for (;;) {
    char query[512];
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    const ssize_t got = recvfrom(port, query, sizeof query, 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (got < static_cast<ssize_t>(kHeadBytes)) return;
    const size_t questionBytes = kHeadBytes + std::strlen(query + kHeadBytes) + 1 + 4;
    const std::string question(query + kHeadBytes, questionBytes - kHeadBytes);
    if (asked.insert(question).second) continue;
    const bool wantsIPv4 = question[question.size() - 3] == 1;
    std::string answer(query, questionBytes);
    answer.replace(2, 10, std::string("\x81\x80\0\1\0\0\0\0\0\0", 10));  // an answer, to one question
    answer[7] = wantsIPv4 ? 1 : 0;
    if (wantsIPv4) answer += std::string("\xc0\x0c\0\1\0\1\0\0\0\1\0\4\x7f\0\0\1", 16);
    sendto(port, answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), length);
  }
}

TEST("netns: a name that no name server answers for ends a set-up in time, on each rank") {
  if (!Network::possible()) return;
  SharedBoard board;
  board->port = 4'711;
  Processes ranks(2, [&](int rank) {
    moveWhereNamesAreServedHere(30);
    const transport::Socket silent = nameServerPort();
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.rendezvousHost = "rank0.example";
    options.rendezvousPort = 4'711;
    options.rendezvousTimeoutMs = 300;
    const int64_t began = nowNs();
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK(nowNs() - began < 20'000'000'000);
    CHECK_EQ(status.code, rank == 0 ? "InvalidArgument" : "RendezvousTimeout");
    CHECK(status.message.find("rank0.example:4711: no name server has said in time") != std::string::npos);
  });
  ranks.join(25);
}

TEST("netns: a name that takes long to become known is dialled all the same") {
  if (!Network::possible()) return;
  Processes host(1, [&](int) {
    moveWhereNamesAreServedHere(3);
    const transport::Socket port = nameServerPort();
    std::thread server([&] { answerSecondQuestions(port.fd()); });
    SharedBoard board;
    runThreads(2, [&](int rank) {
      GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
      if (rank == 1) options.rendezvousHost = "rank0.example";
      CHECK_OK(join(options)->barrier());
    });
    shutdown(port.fd(), SHUT_RD);
    server.join();
  });
  host.join(30);
}

}  // namespace
}  // namespace espalier::test
#endif
