#include <algorithm>
#include <cstring>
#include <string>

#include "test/transport/ranks.h"
#include "test/transport/reference.h"
#include "transport/shm/host_team.h"

namespace espalier::test {
namespace {

/// Whose memory a rank's buffers are: both the transport's, both the heap's, one of each, or different by rank.
enum class Where { Own, Heap, OwnIn, OwnOut, Mixed };

/// One buffer of a call, with something else in it at first.
class Buffer {
 public:
  Buffer(Group& group, size_t bytes, bool own) : bytes_(bytes) {
    if (own) data_ = static_cast<std::byte*>(group.allocate(bytes));
    if (data_ == nullptr) data_ = (heap_ = std::vector<std::byte>(bytes + 1)).data();
    std::memset(data_, 0x5a, bytes);
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_);
  }
  template <class T>
  void fill(int rank, size_t from = 0) {
    for (size_t i = 0; i < bytes_ / sizeof(T); ++i) as<T>()[i] = element<T>(rank, from + i);
  }

 private:
  size_t bytes_;
  std::vector<std::byte> heap_;
  std::byte* data_ = nullptr;
};

template <class T, class Expected>
void checkElements(const T* got, size_t count, Expected expected, const std::string& what) {
  for (size_t i = 0; i < count; ++i) {
    const T wanted = expected(i);
    if (std::memcmp(&got[i], &wanted, sizeof(T)) != 0) {
      throw CheckFailure(what + ": element " + std::to_string(i) + " of " + std::to_string(count) + " differs");
    }
  }
}

bool isOwn(Where where, int rank, bool input) {
  switch (where) {
    case Where::Own: return true;
    case Where::Heap: return false;
    case Where::OwnIn: return input;
    case Where::OwnOut: return !input;
    case Where::Mixed: return (rank + (input ? 0 : 1)) % 2 == 0;
  }
  return false;
}

/// What each rank calculates itself is drawn from a short period, so that large buffers are cheap to check.
constexpr size_t kPeriod = 1'021;

void checkTeamReduce(Group& group, Where where, bool inPlace, size_t count, const std::string& what) {
  const int rank = group.rank(), size = group.size();
  Buffer in(group, count * sizeof(float), isOwn(where, rank, true));
  Buffer out(group, inPlace ? 0 : count * sizeof(float), isOwn(where, rank, false));
  float sums[kPeriod];
  for (size_t i = 0; i < kPeriod; ++i) sums[i] = reduced<float>(0, size, i, ReduceOp::Sum);
  // Twice, the second time with other numbers at once: a rank must be let go only when its input is read.
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < count; ++i) in.as<float>()[i] = element<float>(rank, (i + round) % kPeriod);
    float* target = inPlace ? in.as<float>() : out.as<float>();
    CHECK_OK(group.allReduce(in.as<float>(), target, count, DataType::Float32, ReduceOp::Sum));
    checkElements(target, count, [&](size_t i) { return sums[(i + round) % kPeriod]; }, what + " allReduce");
  }
}

void checkTeamScatter(Group& group, Where where, size_t count, const std::string& what) {
  const int rank = group.rank(), size = group.size();
  const size_t all = count * static_cast<size_t>(size);
  Buffer in(group, all * sizeof(float), isOwn(where, rank, true));
  Buffer out(group, count * sizeof(float), isOwn(where, rank, false));
  for (size_t i = 0; i < all; ++i) in.as<float>()[i] = element<float>(rank, i % kPeriod);
  CHECK_OK(group.reduceScatter(in.as<float>(), out.as<float>(), count, DataType::Float32, ReduceOp::Max));
  const size_t first = static_cast<size_t>(rank) * count;
  checkElements(out.as<float>(), count,
                [&](size_t i) { return reduced<float>(0, size, (first + i) % kPeriod, ReduceOp::Max); },
                what + " reduceScatter");
}

/// Members read each other's inputs where they lie, so what comes in place of an input must wait for them. `own`: at the
/// rank's own place in the longer buffer, where it need not.
void checkTeamInPlace(Group& group, bool own, size_t count, int rounds) {
  const int rank = group.rank(), size = group.size();
  const size_t all = count * static_cast<size_t>(size), first = static_cast<size_t>(rank) * count;
  Buffer buffer(group, all * sizeof(float), true);
  float* const data = buffer.as<float>();
  float* const part = data + (own ? first : 0);
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < all; ++i) data[i] = element<float>(rank, (i + round) % kPeriod);
    CHECK_OK(group.reduceScatter(data, part, count, DataType::Float32, ReduceOp::Sum));
    checkElements(part, count,
                  [&](size_t i) { return reduced<float>(0, size, (first + i + round) % kPeriod, ReduceOp::Sum); },
                  "reduceScatter in place");
    for (size_t i = 0; i < count; ++i) part[i] = element<float>(rank, i + round);
    CHECK_OK(group.allGather(part, data, count, DataType::Float32));
    checkElements(data, all,
                  [&](size_t i) { return element<float>(static_cast<int>(i / count), i % count + round); },
                  "allGather in place");
  }
}

void checkTeamMoves(Group& group, Where where, size_t count, const std::string& what) {
  const int rank = group.rank(), size = group.size();
  const size_t all = count * static_cast<size_t>(size);
  Buffer in(group, count * sizeof(float), isOwn(where, rank, true));
  Buffer out(group, all * sizeof(float), isOwn(where, rank, false));
  in.fill<float>(rank);
  CHECK_OK(group.allGather(in.as<float>(), out.as<float>(), count, DataType::Float32));
  in.fill<float>(rank + 100);  // at once: others must have read it
  checkElements(out.as<float>(), all,
                [&](size_t i) { return element<float>(static_cast<int>(i / count), i % count); }, what + " allGather");
  for (int root = 0; root < size; ++root) {
    if (rank == root) in.fill<float>(root);
    CHECK_OK(group.broadcast(in.as<float>(), count, DataType::Float32, root));
    checkElements(in.as<float>(), count, [&](size_t i) { return element<float>(root, i); }, what + " broadcast");
  }
}

/// Around every size at which the way changes: a line, 1 KiB, 2 KiB, 32 and 48 KiB, 256 and 512 KiB (whole or by
/// chunks), and several rounds of the ring with an odd end.
constexpr size_t kCounts[] = {1,     15,    16,     17,     255,    256,     511,     513,
                              4'096, 8'191, 8'192, 12'289, 65'537, 131'072, 131'073, 700'001};

void checkTeam(Group& group, bool brief) {
  for (const Where where : {Where::Own, Where::Heap, Where::OwnIn, Where::OwnOut, Where::Mixed}) {
    for (const size_t count : kCounts) {
      if (brief && (count % 2 == 0 || count == 8'191 || count == 511)) continue;
      const std::string what = "where " + std::to_string(static_cast<int>(where)) + ", " +
                               std::to_string(group.size()) + " ranks, " + std::to_string(count) + " floats,";
      checkTeamReduce(group, where, false, count, what);
      checkTeamReduce(group, where, true, count, what + " in place,");
      checkTeamScatter(group, where, std::min<size_t>(count, 70'000), what);
      checkTeamMoves(group, where, std::min<size_t>(count, 140'000), what);
    }
  }
}

void checkTeamProcesses(int from, int to, bool brief) {
  for (int size = from; size <= to; ++size) {
    SharedBoard board;
    Processes ranks(size, [&](int rank) {
      checkTeam(*join(optionsFor(rank, size, LinkKind::SharedMemory, board.get())), brief);
    });
    ranks.join(120);
  }
}

TEST("a host team reduces and moves right wherever the buffers lie") { checkTeamProcesses(2, 3, true); }
TEST("slow: a host team of any size reduces and moves right around every threshold") { checkTeamProcesses(2, 6, false); }

TEST("a host team of threads reduces and moves right wherever the buffers lie") {
  SharedBoard board;
  runThreads(4, [&](int rank) {
    auto group = join(optionsFor(rank, 4, LinkKind::SharedMemory, board.get()));
    for (const size_t count : {1u, 5'000u, 20'000u, 140'001u}) {
      checkTeamReduce(*group, Where::Mixed, true, count, "threads,");
      checkTeamReduce(*group, Where::Own, true, count, "threads,");
      checkTeamMoves(*group, Where::Mixed, count, "threads,");
    }
  });
}

TEST("reduce-scatters and all-gathers in place are right in the team's own memory") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::SharedMemory, board.get()));
    for (const bool own : {false, true}) {
      checkTeamInPlace(*group, own, 16, 300);
      checkTeamInPlace(*group, own, 200'001, 5);
    }
  });
  ranks.join(30);
}

TEST("large own buffers are summed right, past the caches") {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, LinkKind::SharedMemory, board.get()));
    for (const Where where : {Where::Own, Where::Heap, Where::Mixed}) {
      checkTeamReduce(*group, where, false, 2'000'003, "large,");
      checkTeamReduce(*group, where, true, 2'000'003, "large in place,");
    }
  });
  ranks.join(30);
}

TEST("allocate goes on when the shared arena is full, and the sums stay right") {
  SharedBoard board;
  Processes ranks(2, [&](int rank) {
    auto group = join(optionsFor(rank, 2, LinkKind::SharedMemory, board.get()));
    // Never touched, so it costs address space only.
    for (int i = 0; i < 3; ++i) CHECK(group->allocate(size_t{400} << 20) != nullptr);
    for (int i = 0; i < 40; ++i) {
      auto* small = static_cast<float*>(group->allocate(1'000 * sizeof(float)));
      CHECK(small != nullptr && reinterpret_cast<uintptr_t>(small) % 64 == 0);
      std::fill(small, small + 1'000, static_cast<float>(rank + 1));
      CHECK_OK(group->allReduce(small, small, 1'000, DataType::Float32, ReduceOp::Sum));
      CHECK(std::all_of(small, small + 1'000, [](float value) { return value == 3.0f; }));
    }
    CHECK(group->allocate(SIZE_MAX - 8) == nullptr);
  });
  ranks.join(20);
}

/// Two members of a team in this process, whose next call has number `last` + 1; `last` is odd.
struct TwoMembers {
  std::shared_ptr<transport::Liveness> liveness =
      std::make_shared<transport::Liveness>(0, 2, 1'000, std::vector<transport::ControlConnection>());
  std::unique_ptr<transport::HostTeam> members[2];

  TwoMembers(uint32_t last, int operationTimeoutMs) {
    transport::TeamSegment segments[2];
    const transport::Digest nonce{};
    CHECK_OK(transport::TeamSegment::create(2, nonce, segments[0]));
    CHECK_OK(transport::TeamSegment::open(segments[0].name(), 2, segments[0].arenaBytes(), nonce, segments[1]));
    for (int i = 0; i < 2; ++i) {
      transport::MemberWords& words = segments[0].words(i);
      words.announcements[0].call = last - 1;
      words.announcements[1].call = last;
      words.progress = last;
    }
    for (int i = 0; i < 2; ++i) {
      members[i] = std::make_unique<transport::HostTeam>(std::move(segments[i]), transport::TeamSeat{{0, 1}, {0, 1}, i, operationTimeoutMs},
                                                         liveness);
    }
  }
};

TEST("a host team's counts start over after 2^32 calls, and nobody gets further ahead for it") {
  for (const uint32_t last : {uint32_t{1}, ~uint32_t{0} - 14, ~uint32_t{0} - 2}) {
    TwoMembers team(last, 20'000);
    runThreads(2, [&](int rank) {
      transport::HostTeam& own = *team.members[rank];
      for (size_t round = 0; round < 24; ++round) {
        const size_t count = round % 3 == 0 ? 100 : round % 3 == 1 ? 70'001 : 300'003;
        std::vector<float> data(count, static_cast<float>(rank + 1)), all(2 * count);
        CHECK(own.allReduce(data.data(), data.data(), count, DataType::Float32, ReduceOp::Sum));
        CHECK(std::all_of(data.begin(), data.end(), [](float value) { return value == 3; }));
        std::fill(data.begin(), data.end(), static_cast<float>(round + rank));
        CHECK(own.broadcast(data.data(), count, DataType::Float32, 0));
        CHECK(data[0] == static_cast<float>(round) && data[count - 1] == static_cast<float>(round));
        CHECK(own.allGather(data.data(), all.data(), count, DataType::Float32));
        CHECK_EQ(all[2 * count - 1], static_cast<float>(round));
      }
    });
  }
  // A root may leave one broadcast behind, but must wait before the next until the other has come to it.
  for (const uint32_t last : {uint32_t{1}, ~uint32_t{0} - 2, ~uint32_t{0}}) {
    TwoMembers team(last, 20);
    float value = 1;
    CHECK(team.members[0]->broadcast(&value, 1, DataType::Float32, 0));
    CHECK(!team.members[0]->broadcast(&value, 1, DataType::Float32, 0));
    CHECK_EQ(team.liveness->cause().code, "OperationTimeout");
  }
}

TEST("a message meets a collective: all hear of it, unless it was sent before") {
  for (const std::string stray : {"recv", "send", "split", "none"}) {
    SharedBoard board;
    runThreads(3, [&](int rank) {
      GroupOptions options = optionsFor(rank, 3, LinkKind::SharedMemory, board.get());
      options.operationTimeoutMs = 0;
      auto group = join(options);
      // A rank that is still joining would fail there.
      ++board->marks[1];
      eventually("all have joined", 20, [&] { return board->marks[1] == 3; });
      std::vector<float> data(1 << 20, 1.0f);
      Status status;
      if (stray == "none") {
        if (rank == 0) CHECK_OK(group->send(data.data(), 16, DataType::Float32, 1));
        if (rank == 0) board->marks[0] = 1;
        if (rank == 1) {
          eventually("rank 0 has sent", 10, [&] { return board->marks[0] == 1; });
          CHECK_OK(group->recv(data.data(), 16, DataType::Float32, 0));
        }
      } else if (rank == 1) {
        if (stray == "recv") status = group->recv(data.data(), 16, DataType::Float32, 0);
        if (stray == "send") status = group->send(data.data(), data.size(), DataType::Float32, 0);
        if (stray == "split") group->split(0, 0, status);
        CHECK_EQ(status.code, "PeerMismatch");
      }
      status = group->allReduce(data.data(), data.data(), 16, DataType::Float32, ReduceOp::Sum);
      CHECK_EQ(status.code, stray == "none" ? "" : "PeerMismatch");
    });
  }
}

TEST("ranks that differ in where their buffers lie and in the size all hear of it") {
  for (const size_t count : {10u, 20'000u, 400'000u}) {
    SharedBoard board;
    Processes ranks(3, [&](int rank) {
      auto group = join(optionsFor(rank, 3, LinkKind::SharedMemory, board.get()));
      board->marks[62]++;
      eventually("all ranks meet", 10, [&] { return board->marks[62] >= 3; });
      const size_t mine = rank == 1 ? count + 1 : count;
      Buffer buffer(*group, mine * sizeof(float), rank == 1);
      const Status status =
          group->allReduce(buffer.as<float>(), buffer.as<float>(), mine, DataType::Float32, ReduceOp::Sum);
      CHECK_EQ(status.code, "PeerMismatch");
      CHECK(status.message.find("called allReduce") != std::string::npos);
      CHECK_EQ(status.link, rank == status.rank ? "" : "shm");
    });
    ranks.join(10);
  }
}

}  // namespace
}  // namespace espalier::test
