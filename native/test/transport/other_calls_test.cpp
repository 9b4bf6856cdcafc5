#include <unistd.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "test/transport/ranks.h"
#include "transport/group.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

using Call = std::function<Status(Group&, float*)>;

void checkMismatch(LinkKind kind, const Call& ofOthers, const Call& ofLast) {
  SharedBoard board;
  Processes ranks(3, [&](int rank) {
    auto group = join(optionsFor(rank, 3, kind, board.get()));
    meet(board.get(), 3);  // a failure while some still join would be theirs as well
    std::vector<float> data(100'000);
    Status status = (rank == 2 ? ofLast : ofOthers)(*group, data.data());
    // A rank that only sent may not know yet; its next calls must tell it.
    for (int i = 0; i < 10 && status.ok(); ++i) status = group->barrier();
    CHECK_EQ(status.code, "PeerMismatch");
    CHECK(status.rank >= 0);
    CHECK(status.message.find("called") != std::string::npos);
  });
  ranks.join(10);
}

void checkMismatches(LinkKind kind) {
  const auto reduce = [](size_t count, DataType type, ReduceOp op) {
    return [=](Group& group, float* data) { return group.allReduce(data, data, count, type, op); };
  };
  const Call usual = reduce(10, DataType::Float32, ReduceOp::Sum);
  checkMismatch(kind, usual, reduce(11, DataType::Float32, ReduceOp::Sum));
  checkMismatch(kind, usual, reduce(90'000, DataType::Float32, ReduceOp::Sum));
  checkMismatch(kind, usual, reduce(0, DataType::Float32, ReduceOp::Sum));
  checkMismatch(kind, usual, reduce(10, DataType::Int32, ReduceOp::Sum));
  checkMismatch(kind, usual, reduce(10, DataType::Float32, ReduceOp::Max));
  checkMismatch(kind, usual, [](Group& group, float*) { return group.barrier(); });
  checkMismatch(kind, usual,
                [](Group& group, float* data) { return group.broadcast(data, 10, DataType::Float32, 2); });
}

TEST("ranks that make different calls all hear of it") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) checkMismatches(kind);
}
TEST("verbs: ranks that make different calls all hear of it") { checkMismatches(LinkKind::Verbs); }

using CallWith = std::function<Status(Group&, std::vector<float>&)>;

/// Rank `odd` of `size` makes another call than the rest (an all-reduce, if nothing else), none of whose messages it looks
/// at.
void checkElsewhere(int size, int odd, const CallWith& call, const CallWith& ofRest = nullptr) {
  SharedBoard board;
  Processes ranks(size, [&](int rank) {
    GroupOptions options = optionsFor(rank, size, LinkKind::Tcp, board.get());
    options.operationTimeoutMs = 0;  // nothing but the difference ends it
    auto group = join(options);
    std::vector<float> data(1'000, 1.0f);
    const auto reduce = [&] {
      return group->allReduce(data.data(), data.data(), data.size(), DataType::Float32, ReduceOp::Max);
    };
    for (int i = 0; i < 20; ++i) CHECK_OK(reduce());
    meet(board.get(), size);  // a failure while some still finish the last one would be theirs as well
    const int64_t began = nowNs();
    Status status = rank == odd ? call(*group, data) : ofRest ? ofRest(*group, data) : reduce();
    while (status.ok()) status = reduce();
    CHECK_EQ(status.code, "PeerMismatch");
    CHECK(status.message.find("rank " + std::to_string(odd)) != std::string::npos);
    CHECK(status.message.find(" #") != std::string::npos);
    CHECK(secondsBetween(began, nowNs()) < boundSeconds());
  });
  ranks.join(15);
}

TEST("a rank that waits for one who waits in a collective is told so, whoever talks to whom") {
  for (const int size : {4, 8}) {
    checkElsewhere(size, size - 1, [](Group& group, std::vector<float>& data) {
      return group.recv(data.data(), data.size(), DataType::Float32, 0);
    });
    checkElsewhere(size, 1, [size](Group& group, std::vector<float>& data) {
      return group.broadcast(data.data(), data.size(), DataType::Float32, size - 2);
    });
  }
}

TEST("a rank that waits in a call which all others have behind them is told so") {
  const auto from = [](int root) {
    return [root](Group& group, std::vector<float>& data) {
      return group.broadcast(data.data(), data.size(), DataType::Float32, root);
    };
  };
  // What rank 1 sends is for others: it waits for rank 4, which waits for it.
  checkElsewhere(5, 4, from(1), [&](Group& group, std::vector<float>& data) {
    const Status status = from(0)(group, data);
    return status.ok() ? from(4)(group, data) : status;
  });
}

/// Ranks 0 and the last wait to receive from each other; the others, if any, wait for them.
void checkStandoff(int size, LinkKind kind) {
  SharedBoard board;
  Processes ranks(size, [&](int rank) {
    GroupOptions options = optionsFor(rank, size, kind, board.get());
    options.operationTimeoutMs = 0;  // nothing but the difference ends it
    auto group = join(options);
    float value = 1;
    const int last = size - 1;
    if (rank == 0) CHECK_OK(group->send(&value, 1, DataType::Float32, last));
    if (rank == last) CHECK_OK(group->recv(&value, 1, DataType::Float32, 0));
    meet(board.get(), size);
    const int64_t began = nowNs();
    Status status;
    if (rank == 0 || rank == last) {
      status = group->recv(&value, 1, DataType::Float32, last - rank);
    } else {
      status = group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum);
    }
    CHECK_EQ(status.code, "PeerMismatch");
    CHECK(status.message.find("rank 0") != std::string::npos);
    CHECK(secondsBetween(began, nowNs()) < boundSeconds());
  });
  ranks.join(15);
}

TEST("two ranks that wait to receive from each other are told so") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    for (const int size : {2, 4}) checkStandoff(size, kind);
  }
}

/// The last `count` of `size` ranks wait to receive, each from the next, the last from the first; the others for all.
void checkCircle(int size, int count, LinkKind kind) {
  SharedBoard board;
  Processes ranks(size, [&](int rank) {
    GroupOptions options = optionsFor(rank, size, kind, board.get());
    options.operationTimeoutMs = 0;  // nothing but the circle ends it
    auto group = join(options);
    float value = 1;
    const int first = size - count, next = rank + 1 < size ? rank + 1 : first;
    // What was sent and received before is no part of it.
    if (rank == size - 1) CHECK_OK(group->send(&value, 1, DataType::Float32, first));
    if (rank == first) CHECK_OK(group->recv(&value, 1, DataType::Float32, size - 1));
    meet(board.get(), size);
    const int64_t began = nowNs();
    const Status status = rank < first ? group->barrier() : group->recv(&value, 1, DataType::Float32, next);
    CHECK_EQ(status.code, "PeerMismatch");
    const std::string last = std::to_string(size - 1), told = "rank " + last + " from rank " + std::to_string(first);
    CHECK(rank < first || status.message.find(told + "; one of them must send first") != std::string::npos);
    CHECK(secondsBetween(began, nowNs()) < boundSeconds());
  });
  ranks.join(15);
}

TEST("ranks that wait to receive from each other in a circle are told so, however many they are") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    for (const int size : {3, 4, 8}) checkCircle(size, size, kind);
  }
  checkCircle(5, 3, LinkKind::Tcp);
}

TEST("ranks of a split that wait to receive from each other in a circle are told so") {
  SharedBoard board;
  Processes ranks(6, [&](int rank) {
    GroupOptions options = optionsFor(rank, 6, LinkKind::SharedMemory, board.get());
    options.operationTimeoutMs = 0;
    auto group = join(options);
    Status status;
    const auto part = group->split(rank % 2, -rank, status);
    CHECK_OK(status);
    meet(board.get(), 6);
    float value = 0;
    status = part->recv(&value, 1, DataType::Float32, (part->rank() + 1) % 3);
    CHECK_EQ(status.code, "PeerMismatch");
    const bool odd = status.message.find("rank 1 ") != std::string::npos;
    for (int other = 0; other < 6; ++other) {
      CHECK_EQ(status.message.find("rank " + std::to_string(other)) != std::string::npos, other % 2 == (odd ? 1 : 0));
    }
  });
  ranks.join(15);
}

TEST("sends and receives in an order that all keep are no circle, however late some are") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    SharedBoard board;
    const uint64_t seed = seedOr(11);
    Processes ranks(5, [&](int rank) {
      auto group = join(optionsFor(rank, 5, kind, board.get()));
      std::mt19937_64 script(seed);  // the same on all
      for (int turn = 0; turn < 300; ++turn) {
        const int from = static_cast<int>(script() % 5), to = static_cast<int>((from + 1 + script() % 4) % 5);
        const bool late = script() % 40 == 0;  // long enough for beats to say who waits
        float value = static_cast<float>(turn);
        if (rank == from && late) usleep(250'000);
        if (rank == from) CHECK_OK(group->send(&value, 1, DataType::Float32, to));
        if (rank == to) CHECK_OK(group->recv(&value, 1, DataType::Float32, from));
        CHECK_EQ(value, static_cast<float>(turn));
      }
      CHECK_OK(group->barrier());
    });
    ranks.join(60);
  }
}

/// Every rank sends `count` floats to the next one before it receives from the one before.
void checkSendsFirst(int size, size_t count, LinkKind kind) {
  SharedBoard board;
  Processes ranks(size, [&](int rank) {
    auto group = join(optionsFor(rank, size, kind, board.get()));
    const int next = (rank + 1) % size, before = (rank + size - 1) % size;
    std::vector<float> own(count), theirs(count);
    for (int turn = 0; turn < 3; ++turn) {
      for (size_t i = 0; i < count; ++i) own[i] = static_cast<float>(rank * 1'000 + turn * 100 + static_cast<int>(i % 97));
      CHECK_OK(group->send(own.data(), count, DataType::Float32, next));
      float number = static_cast<float>(rank);
      CHECK_OK(group->send(&number, 1, DataType::Float32, next));  // behind what nobody has received yet
      CHECK_OK(group->recv(theirs.data(), count, DataType::Float32, before));
      CHECK_OK(group->recv(&number, 1, DataType::Float32, before));
      CHECK_EQ(number, static_cast<float>(before));
      for (size_t i = 0; i < count; ++i) {
        CHECK_EQ(theirs[i], static_cast<float>(before * 1'000 + turn * 100 + static_cast<int>(i % 97)));
      }
      CHECK_OK(group->allReduce(&number, &number, 1, DataType::Float32, ReduceOp::Max));
      CHECK_EQ(number, static_cast<float>(size - 1));
    }
  });
  ranks.join(60);
}

TEST("ranks that all send before they receive get what was sent, however long it is") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    checkSendsFirst(2, 8'000'000, kind);
    checkSendsFirst(4, 1'000'000, kind);
    checkSendsFirst(3, 1, kind);
  }
}

TEST("a receive whose sender answers late, and only to what it received, is no mismatch") {
  for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Tcp}) {
    SharedBoard board;
    Processes ranks(2, [&](int rank) {
      auto group = join(optionsFor(rank, 2, kind, board.get()));
      std::vector<float> data(rank == 0 ? 100'000 : 1, 1.0f);
      for (int turn = 0; turn < 2; ++turn) {
        if (rank == 0) {
          usleep(500'000);  // beats say that rank 1 waits for this send
          CHECK_OK(group->send(data.data(), data.size(), DataType::Float32, 1));
          CHECK_OK(group->recv(data.data(), 1, DataType::Float32, 1));
        } else {
          std::vector<float> request(100'000);
          CHECK_OK(group->recv(request.data(), request.size(), DataType::Float32, 0));
          usleep(500'000);  // the last beats that rank 0 heard still say that this rank waits for it
          CHECK_OK(group->send(data.data(), 1, DataType::Float32, 0));
        }
      }
    });
    ranks.join(20);
  }
}

TEST("a receive that is served before a collective under way elsewhere is no mismatch") {
  SharedBoard board;
  Processes ranks(4, [&](int rank) {
    auto group = join(optionsFor(rank, 4, LinkKind::Tcp, board.get()));
    float value = static_cast<float>(rank);
    if (rank == 3) CHECK_OK(group->recv(&value, 1, DataType::Float32, 0));
    if (rank == 0) {
      usleep(900'000);  // ranks 1 and 2 wait in the all-reduce meanwhile, and beats say so
      CHECK_OK(group->send(&value, 1, DataType::Float32, 3));
    }
    CHECK_OK(group->allReduce(&value, &value, 1, DataType::Float32, ReduceOp::Sum));
    CHECK_EQ(value, 3.0f);
  });
  ranks.join(10);
}

}  // namespace
}  // namespace espalier::test
