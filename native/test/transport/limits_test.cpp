#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "test/transport/faults.h"
#include "test/transport/network.h"
#include "transport/wire/socket.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

void limit(decltype(RLIMIT_NOFILE) resource, rlim_t value) {
  rlimit limits{};
  CHECK(getrlimit(resource, &limits) == 0);
  limits.rlim_cur = value;
  CHECK(setrlimit(resource, &limits) == 0);
}

int firstFreeDescriptor() {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  close(fd);
  return fd;
}

constexpr int kSparseSize = 4;

/// A group of which one rank may open only `spare` descriptors more.
struct Shortage {
  int victim, spare;
  SharedBoard board;
  std::unique_ptr<Processes> ranks;

  void start() {
    ranks = std::make_unique<Processes>(kSparseSize, [this](int rank) {
      GroupOptions options = optionsFor(rank, kSparseSize, LinkKind::Tcp, board.get());
      options.rendezvousTimeoutMs = 4'000;
      if (rank == victim) limit(RLIMIT_NOFILE, static_cast<rlim_t>(firstFreeDescriptor() + spare));
      Status status;
      auto group = Group::create(options, status);
      if (status.ok()) status = group->barrier();
      group.reset();
      post(board.get(), rank, status);
      // Waiting for descriptors is no work.
      CHECK(static_cast<double>(clock()) / CLOCKS_PER_SEC < 0.5);
    });
  }

  void check() {
    ranks->join(15);
    const std::string code = board->codes[victim], text = board->text[victim];
    if (code.empty()) return;
    if (code != "OutOfDescriptors" || text.find("ulimit -n") == std::string::npos || board->guilty[victim] != victim) {
      throw CheckFailure("rank " + std::to_string(victim) + " with " + std::to_string(spare) + " descriptors: " + code +
                         ": " + text);
    }
  }
};

TEST("slow: a rank that runs out of descriptors at any point of the set-up says so, without spinning") {
  for (const int victim : {0, 2}) {
    std::vector<std::unique_ptr<Shortage>> all;
    for (int spare = 0; spare < 14; ++spare) {
      all.push_back(std::make_unique<Shortage>());
      all.back()->victim = victim;
      all.back()->spare = spare;
      // Rank 0 tells the others where it listens: it needs one to get that far.
      if (victim == 0 && spare < 3) continue;
      all.back()->start();
    }
    for (auto& one : all) {
      if (one->ranks) one->check();
    }
    CHECK_EQ(std::string(all.back()->board->codes[victim]), "");
  }
}

TEST("a split that fails within one of its parts blames a rank of the group that was split") {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    auto world = join(optionsFor(rank, 4, LinkKind::Tcp, board.get()));
    // One for the port, none for the link.
    if (rank == 3) limit(RLIMIT_NOFILE, static_cast<rlim_t>(firstFreeDescriptor() + 1));
    Status status;
    const auto part = world->split(rank % 2, 0, status);
    CHECK(part == nullptr || rank % 2 == 0);  // the part of the others may be there before
    if (part) status = part->recv(&rank, 1, DataType::Int32, rank == 0 ? 1 : 0);
    CHECK_EQ(status.code, "OutOfDescriptors");
    CHECK_EQ(status.rank, part ? -1 : 3);
  });
  ranks.join(20);
}

TEST("a limit on the size of files means TCP, a notice and no signal") {
  struct Notes {
    std::mutex mutex;
    std::string text;
  };
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    Notes notes;
    GroupOptions options = optionsFor(rank, 2, LinkKind::Tcp, board.get());
    options.links = {LinkKind::SharedMemory, LinkKind::Tcp};
    options.onNoticeContext = &notes;
    options.onNotice = [](const char* text, void* context) {
      auto* into = static_cast<Notes*>(context);
      const std::lock_guard lock(into->mutex);
      into->text += text;
    };
    if (rank == 0) limit(RLIMIT_FSIZE, 0);
    auto group = join(options);
    CHECK(group->stats().peers[0].link == LinkKind::Tcp);
    CHECK(rank == 1 || notes.text.find("no shared memory with rank 1") != std::string::npos);
  });
  ranks.join(10);
}

/// Closes stdin, stdout and stderr as long as it lives.
class ClosedStreams {
 public:
  ClosedStreams() {
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
      kept_[fd] = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
      close(fd);
    }
  }
  ~ClosedStreams() {
    for (int fd = 0; fd <= STDERR_FILENO; ++fd) {
      if (kept_[fd] >= 0) dup2(kept_[fd], fd);
      close(kept_[fd]);
    }
  }
  ClosedStreams(const ClosedStreams&) = delete;
  ClosedStreams& operator=(const ClosedStreams&) = delete;

 private:
  int kept_[STDERR_FILENO + 1];
};

TEST("a group keeps off the numbers of stdin, stdout and stderr where they are closed") {
  for (const LinkKind kind : {LinkKind::Tcp, LinkKind::SharedMemory}) {
    SharedBoard board;
    Processes ranks(3, [&](int rank) {
      const ClosedStreams closed;
      GroupOptions options = optionsFor(rank, 3, kind, board.get());
      // One rank relays.
      if (rank != 1) options.directPeers = {1};
      auto group = join(options);
      Status status;
      auto part = group->split(0, rank, status);
      CHECK_OK(status);
      for (int fd = 0; fd <= STDERR_FILENO; ++fd) CHECK(write(fd, "printed", 7) < 0 && errno == EBADF);
      CHECK_OK(part->barrier());
      CHECK_OK(group->barrier());
    });
    ranks.join(20);
  }
}

TEST("netns: a way that is dead before the links are built is an error on every rank in time") {
  if (!Network::possible()) return;
  constexpr int kHosts = 3;
  const std::vector<std::vector<std::pair<int, int>>> cuts = {{{2, 1}, {1, 2}}, {{1, 2}}, {{0, 2}}, {{2, 0}, {0, 2}}};
  std::vector<std::unique_ptr<Network>> networks;
  std::vector<std::unique_ptr<SharedBoard>> boards;
  std::vector<std::unique_ptr<Processes>> groups;
  for (const auto& ways : cuts) {
    Network& network = *networks.emplace_back(std::make_unique<Network>(kHosts));
    Board* board = boards.emplace_back(std::make_unique<SharedBoard>())->get();
    for (const auto& [from, to] : ways) network.cut(from, to, Network::Plane::Data);
    groups.push_back(std::make_unique<Processes>(kHosts, [&network, board](int rank) {
      network.enter(rank);
      const int descriptors = descriptorsOfThisProcess();
      GroupOptions options = optionsFor(rank, kHosts, LinkKind::Tcp, board);
      options.rendezvousTimeoutMs = 30'000;
      options.rendezvousHost = network.address(0, Network::Plane::Side);
      options.dataHost = network.address(rank, Network::Plane::Data);
      options.hostId = "host " + std::to_string(rank);
      const int64_t began = nowNs();
      Status status;
      CHECK(Group::create(options, status) == nullptr);
      post(board, rank, status);
      CHECK(secondsBetween(began, nowNs()) < boundSeconds());
      CHECK_EQ(descriptorsOfThisProcess(), descriptors);
    }));
  }
  for (size_t i = 0; i < cuts.size(); ++i) {
    groups[i]->join(15);
    const auto [one, other] = cuts[i][0];
    for (int rank = 0; rank < kHosts; ++rank) {
      const std::string text = (*boards[i])->text[rank];
      for (const int end : {one, other}) CHECK(text.find("rank " + std::to_string(end)) != std::string::npos);
      CHECK_EQ(std::string((*boards[i])->codes[rank]), "LinkUnavailable");
    }
  }
}

TEST("netns: where IPv6 is off, a name that stands for an IPv6 address too is listened on") {
  if (!Network::possible()) return;
  const Network network(1);
  Processes host(1, [&](int) {
    network.enter(0);
    const int file = open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC);
    if (file >= 0) CHECK(write(file, "1\n", 2) == 2);
    transport::Socket listener, socket;
    uint16_t port = 0;
    CHECK_OK(transport::listenOn("localhost", 0, listener, port, transport::deadlineAfterMs(5'000)));
    CHECK_OK(transport::dialOnce("localhost", port, transport::deadlineAfterMs(5'000), -1, socket));
  });
  host.join(10);
}

}  // namespace
}  // namespace espalier::test
