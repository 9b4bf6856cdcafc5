// Over the devices of the guest in test/rdma/: they run only when named.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>

#include "test/transport/ranks.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

/// The guest has two cables more than a mesh of four: these tests break one for good.
constexpr int kFirstSpareCable = 6, kLastSpareCable = 9;

void command(const std::string& text) {
  if (std::system(text.c_str()) != 0) throw CheckFailure("failed: " + text);
}

bool isUp(int cable) {
  std::ifstream file("/sys/class/net/veth" + std::to_string(2 * cable) + "/operstate");
  std::string state;
  file >> state;
  return state == "up";
}

int spareCable() {
  for (int cable = kFirstSpareCable; cable <= kLastSpareCable; ++cable) {
    if (isUp(cable)) return cable;
  }
  throw CheckFailure("no spare cable is left: start the guest with RDMA_VM_LINKS=10");
}

/// Where a frame from the lower end of `cable` goes: to the upper end, or to nobody, which no sender notices.
void point(int cable, bool astray) {
  const std::string lower = std::to_string(2 * cable), host = std::to_string(2 * cable + 2);
  char address[32];
  std::snprintf(address, sizeof address, "02:00:00:00:00:%02x", astray ? 0xfe : 2 * cable + 2);
  command("ip neigh replace 192.0.2." + host + " lladdr " + address + " dev veth" + lower + " nud permanent");
}

/// While it lives, what the lower end of `cable` sends gets lost.
struct Astray {
  explicit Astray(int cable) : cable(cable) { point(cable, true); }
  ~Astray() { point(cable, false); }
  const int cable;
};

/// The usual mesh, with ranks 0 and 1 joined by `cable`.
GroupOptions optionsWith(int cable, int rank, int size, Board* board) {
  GroupOptions options = optionsFor(rank, size, LinkKind::Verbs, board);
  for (transport::VerbsCable& one : options.verbsCables) {
    if (rank + one.peer == 1) one.device = "rxe" + std::to_string(2 * cable + rank);
  }
  return options;
}

/// Breaks something while three ranks work; all must say so in time, with a rank and the link.
void checkBreak(int cable, const std::function<void()>& breakIt) {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsWith(cable, rank, 3, board.get()));
    std::vector<float> data(4'096, 1.0f);
    Status status;
    while (status.ok()) {
      status = group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Max);
      board->marks[rank]++;
    }
    board->times[rank] = nowNs();
    std::snprintf(board->codes[rank], sizeof board->codes[rank], "%s", status.code.c_str());
    std::snprintf(board->text[rank], sizeof board->text[rank], "%s", status.message.c_str());
    CHECK(status.rank == 0 || status.rank == 1);
    CHECK(status.rank == rank || status.link == "verbs");
  });
  eventually("all ranks work", 20, [&] { return board->marks[0] > 9 && board->marks[1] > 9 && board->marks[2] > 9; });
  const int64_t brokeNs = nowNs();
  breakIt();
  ranks.join(20);
  for (int rank = 0; rank < 3; ++rank) {
    const std::string code = board->codes[rank];
    if (code != "PeerLost" && code != "DataLost") throw CheckFailure(code + ": " + board->text[rank]);
    const double seconds = static_cast<double>(board->times[rank] - brokeNs) / 1e9;
    std::printf("     rank %d after %.2f s: %s: %s\n", rank, seconds, code.c_str(), board->text[rank]);
    // The contract says 2 s; emulation gets the rest.
    if (seconds > 5.0) throw CheckFailure("too late: " + std::to_string(seconds) + " s");
  }
}

TEST("verbs: a cable that is pulled is an error that names it, on every rank in time") {
  const int cable = spareCable();
  checkBreak(cable, [&] { command("ip link set veth" + std::to_string(2 * cable) + " down"); });
}

TEST("verbs: a cable that swallows frames is an error on every rank in time") {
  const int cable = spareCable();
  std::unique_ptr<Astray> astray;
  checkBreak(cable, [&] { astray = std::make_unique<Astray>(cable); });
}

TEST("verbs: a frame that is lost is noticed by the next one, and nothing is taken for it") {
  const int cable = spareCable();
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    auto group = join(optionsWith(cable, rank, 2, board.get()));
    std::vector<int32_t> data(1'024, 1);
    if (rank == 0) {
      CHECK_OK(group->send(data.data(), data.size(), DataType::Int32, 1));
      board->marks[0] = 1;
      eventually("the way is astray", 10, [&] { return board->marks[2] == 1; });
      data.assign(data.size(), 2);
      CHECK_OK(group->send(data.data(), data.size(), DataType::Int32, 1));
      board->marks[0] = 2;
      eventually("the way is right", 10, [&] { return board->marks[2] == 2; });
      data.assign(data.size(), 3);
      const Status sent = group->send(data.data(), data.size(), DataType::Int32, 1);
      CHECK(sent.ok() || sent.code == "DataLost");
      CHECK_EQ(group->recv(data.data(), data.size(), DataType::Int32, 1).code, "DataLost");
      return;
    }
    CHECK_OK(group->recv(data.data(), data.size(), DataType::Int32, 0));
    CHECK_EQ(data[1'023], 1);
    data.assign(data.size(), 0);
    const Status status = group->recv(data.data(), data.size(), DataType::Int32, 0);
    CHECK_EQ(status.code, "DataLost");
    CHECK_EQ(status.rank, 0);
    CHECK_EQ(status.link, "verbs");
    for (const int32_t value : data) CHECK_EQ(value, 0);
  });
  eventually("the first has been sent", 20, [&] { return board->marks[0] == 1; });
  {
    const Astray astray(cable);
    board->marks[2] = 1;
    eventually("the second has been sent", 20, [&] { return board->marks[0] == 2; });
  }
  board->marks[2] = 2;
  ranks.join(20);
}

struct Notes {
  std::mutex mutex;
  std::string text;
};

TEST("verbs: where one end cannot, both take TCP and say why") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    Notes notes;
    GroupOptions options = optionsFor(rank, 2, LinkKind::Verbs, board.get());
    options.links = {LinkKind::Verbs, LinkKind::Tcp};
    if (rank == 1) options.verbsCables[0].device = "rdma_en9";
    options.onNoticeContext = &notes;
    options.onNotice = [](const char* text, void* context) {
      auto* into = static_cast<Notes*>(context);
      const std::lock_guard lock(into->mutex);
      into->text += text;
    };
    auto group = join(options);
    CHECK(group->stats().peers[0].link == LinkKind::Tcp);
    const std::lock_guard lock(notes.mutex);
    CHECK(notes.text.find("DeviceUnknown on rdma_en9") != std::string::npos);
    CHECK(notes.text.find("TCP") != std::string::npos);
  });
}

TEST("verbs: two ends of different cables find out before they are used") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 2, LinkKind::Verbs, board.get());
    if (rank == 1) options.verbsCables[0].device = "rxe5";
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK_EQ(status.code, "LinkUnavailable");
    CHECK_EQ(status.link, "verbs");
    CHECK(status.message.find("verbs ") != std::string::npos);
  });
}

TEST("verbs: several active devices and none named is refused with their names") {
  SharedBoard board;
  runThreads(2, [&](int rank) {
    GroupOptions options = optionsFor(rank, 2, LinkKind::Verbs, board.get());
    options.verbsCables.clear();
    Status status;
    CHECK(Group::create(options, status) == nullptr);
    CHECK(status.message.find("DeviceAmbiguous") != std::string::npos);
    CHECK(status.message.find("rxe0, rxe1") != std::string::npos);
  });
}

TEST("verbs: splits have queue pairs of their own on the same devices") {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    auto world = join(optionsFor(rank, 4, LinkKind::Verbs, board.get()));
    Status status;
    auto half = world->split(rank % 2, -rank, status);
    CHECK_OK(status);
    float inHalf = static_cast<float>(rank), inWorld = 1;
    CHECK_OK(half->allReduce(&inHalf, &inHalf, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_OK(world->allReduce(&inWorld, &inWorld, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_EQ(inHalf, rank % 2 == 0 ? 2.0f : 4.0f);
    CHECK_EQ(inWorld, 4.0f);
    CHECK(half->stats().peers[0].link == LinkKind::Verbs);
  });
  ranks.join(20);
}

TEST("verbs: an idle rank sleeps") {
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::Verbs, board.get()));
    float value = 1;
    if (rank == 0) {
      usleep(1'500'000);
      CHECK_OK(group->broadcast(&value, 1, DataType::Float32, 0));
      return;
    }
    const clock_t began = clock();
    CHECK_OK(group->broadcast(&value, 1, DataType::Float32, 0));
    CHECK(static_cast<double>(clock() - began) / CLOCKS_PER_SEC < 0.5);
  });
  ranks.join(20);
}

TEST("verbs: many groups leave no descriptor and no memory behind") {
  const auto rounds = [](int count, int first) {
    SharedBoard boards[1];
    for (int round = 0; round < count; ++round) {
      boards[0]->port = 0;
      runThreads(2, [&](int rank) {
        auto group = join(optionsFor(rank, 2, LinkKind::Verbs, boards[0].get()));
        float value = static_cast<float>(first + round);
        CHECK_OK(group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
      });
    }
  };
  const auto mappings = [] {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) ++count;
    return count;
  };
  rounds(10, 0);  // libraries, thread stacks and the like are there after this
  const int descriptors = entriesOf("/proc/self/fd"), mapped = mappings(), threads = entriesOf("/proc/self/task");
  // Each takes some 100 ms under emulation; how frames are tagged makes no difference to what is given back.
  rounds(std::getenv("ESPALIER_VERBS_SEND_ONLY") == nullptr ? 90 : 30, 10);
  CHECK_EQ(entriesOf("/proc/self/fd"), descriptors);
  // A joined thread keeps its entry for a moment.
  eventually("threads are gone", 5, [&] { return entriesOf("/proc/self/task") <= threads; });
  CHECK(mappings() < mapped + 10);
}

}  // namespace
}  // namespace espalier::test
