#include <cstdlib>
#include <cstring>
#include <string>

#include "test/transport/ranks.h"
#include "test/transport/reference.h"

namespace espalier::test {
namespace {

/// Fresh input of `ranks` blocks as rank `rank` contributes them.
template <class T>
std::vector<T> inputOf(int rank, size_t count) {
  std::vector<T> data(count);
  for (size_t i = 0; i < count; ++i) data[i] = element<T>(rank, i);
  return data;
}

template <class T>
void checkSame(const std::vector<T>& got, const std::vector<T>& expected, const std::string& what) {
  CHECK_EQ(got.size(), expected.size());
  if (got.empty() || std::memcmp(got.data(), expected.data(), got.size() * sizeof(T)) == 0) return;
  size_t at = 0;
  while (std::memcmp(&got[at], &expected[at], sizeof(T)) == 0) ++at;
  throw CheckFailure(what + ": element " + std::to_string(at) + " of " + std::to_string(got.size()) + " differs");
}

template <class T>
void checkReductions(Group& group, DataType type, size_t count, ReduceOp op, const std::string& what) {
  const int size = group.size(), rank = group.rank();
  std::vector<T> expected(count);
  for (size_t i = 0; i < count; ++i) expected[i] = reduced<T>(0, size, i, op);
  std::vector<T> in = inputOf<T>(rank, count), out(count);
  CHECK_OK(group.allReduce(in.data(), out.data(), count, type, op));
  checkSame(out, expected, what + " allReduce");
  CHECK_OK(group.allReduce(in.data(), in.data(), count, type, op));
  checkSame(in, expected, what + " allReduce in place");

  const size_t share = count / size;
  in = inputOf<T>(rank, share * size);
  std::vector<T> part(share);
  CHECK_OK(group.reduceScatter(in.data(), part.data(), share, type, op));
  checkSame(part, {expected.begin() + rank * share, expected.begin() + (rank + 1) * share}, what + " reduceScatter");
}

template <class T>
void checkMoves(Group& group, DataType type, size_t count, const std::string& what) {
  const int size = group.size(), rank = group.rank();
  std::vector<T> all, gathered(count * size);
  for (int r = 0; r < size; ++r) {
    const std::vector<T> one = inputOf<T>(r, count);
    all.insert(all.end(), one.begin(), one.end());
  }
  const std::vector<T> own = inputOf<T>(rank, count);
  CHECK_OK(group.allGather(own.data(), gathered.data(), count, type));
  checkSame(gathered, all, what + " allGather");
  for (int root = 0; root < size; ++root) {
    std::vector<T> data = rank == root ? inputOf<T>(root, count) : std::vector<T>(count);
    CHECK_OK(group.broadcast(data.data(), count, type, root));
    checkSame(data, inputOf<T>(root, count), what + " broadcast");
  }
  // Around the ring, the even ranks sending first.
  if (size == 1) return;
  const int right = (rank + 1) % size, left = (rank + size - 1) % size;
  std::vector<T> got(count);
  if (rank % 2 == 0) CHECK_OK(group.send(own.data(), count, type, right));
  CHECK_OK(group.recv(got.data(), count, type, left));
  if (rank % 2 == 1) CHECK_OK(group.send(own.data(), count, type, right));
  checkSame(got, inputOf<T>(left, count), what + " send and recv");
}

void checkEverything(Group& group) {
  const size_t large = isEmulated() ? 1 << 18 : 1 << 20;
  const size_t sizes[] = {0, 1, 1'023, 4'096, 16'384, large};
  for (const DataType type : kAllTypes) {
    // Links know nothing of types: under emulation one that is added in another width will do.
    if (isEmulated() && type != DataType::Float32 && type != DataType::BFloat16) continue;
    withType(type, [&](auto zero) {
      using T = decltype(zero);
      for (const size_t bytes : sizes) {
        // Every type takes every algorithm and every kernel; the full product only for fp32, to keep the suite short.
        const bool odd = bytes == 1'023, full = type == DataType::Float32;
        if (!full && (bytes == 4'096 || (bytes == large && type != DataType::BFloat16))) continue;
        const size_t count = bytes == 1 ? 1 : odd ? 1'023 / sizeof(T) : bytes / sizeof(T);
        const std::string what =
            "type " + std::to_string(static_cast<int>(type)) + ", " + std::to_string(count) + " elements,";
        for (const ReduceOp op : {ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min}) {
          if (op != ReduceOp::Sum && (type == DataType::Complex64 || (!full && !odd))) continue;
          checkReductions<T>(group, type, count, op, what);
        }
        checkMoves<T>(group, type, count, what);
      }
    });
  }
  CHECK_OK(group.barrier());
}

void checkProcesses(LinkKind kind) {
  const bool again = std::getenv("ESPALIER_VERBS_SEND_ONLY") != nullptr;  // the guest's second turn
  for (int size = 1; size <= 4; ++size) {
    if (again && size != 3) continue;
    SharedBoard board;
    Processes ranks(size, [&](int rank) { checkEverything(*join(optionsFor(rank, size, kind, board.get()))); });
    ranks.join(60);
  }
}

/// Ranks of one process must not get in each other's way: the transport keeps nothing outside its groups.
void checkThreads(LinkKind kind) {
  SharedBoard board;
  runThreads(3, [&](int rank) { checkEverything(*join(optionsFor(rank, 3, kind, board.get()))); });
}

TEST("collectives over shm between processes") { checkProcesses(LinkKind::SharedMemory); }
TEST("collectives over tcp between processes") { checkProcesses(LinkKind::Tcp); }
TEST("verbs: collectives between processes") { checkProcesses(LinkKind::Verbs); }
TEST("verbs: collectives between threads") { checkThreads(LinkKind::Verbs); }
TEST("collectives over shm between threads") { checkThreads(LinkKind::SharedMemory); }
TEST("collectives over tcp between threads") { checkThreads(LinkKind::Tcp); }

}  // namespace
}  // namespace espalier::test
