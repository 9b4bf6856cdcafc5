#pragma once
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "test/transport/ranks.h"
#include "test/transport/reference.h"

/// One collective at a time against what it should give, to the bit.
namespace espalier::test {

template <class T>
std::vector<T> contribution(int rank, size_t count) {
  std::vector<T> data(count);
  for (size_t i = 0; i < count; ++i) data[i] = element<T>(rank, i);
  return data;
}

template <class T>
void checkBits(const std::vector<T>& got, const std::vector<T>& expected, const std::string& what) {
  CHECK_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::memcmp(&got[i], &expected[i], sizeof(T)) == 0) continue;
    throw CheckFailure(what + ": element " + std::to_string(i) + " of " + std::to_string(got.size()) + " differs");
  }
}

/// That all ranks hold the same bits, where the order of a sum is not promised.
template <class T>
void checkAgreed(Group& group, const std::vector<T>& data, const std::string& what) {
  std::vector<uint8_t> mine(data.size() * sizeof(T)), all(mine.size() * group.size());
  if (!mine.empty()) std::memcpy(mine.data(), data.data(), mine.size());
  CHECK_OK(group.allGather(mine.data(), all.data(), mine.size(), DataType::Uint8));
  for (int rank = 0; rank < group.size(); ++rank) {
    if (std::equal(mine.begin(), mine.end(), all.begin() + rank * mine.size())) continue;
    throw CheckFailure(what + ": ranks " + std::to_string(group.rank()) + " and " + std::to_string(rank) + " differ");
  }
}

template <class T>
void checkNear(const std::vector<T>& got, const std::vector<T>& expected, const std::string& what) {
  for (size_t i = 0; i < got.size(); ++i) {
    double error = 0;
    if constexpr (std::is_same_v<T, Bf16>) {
      error = std::abs(fromBf16(got[i]) - fromBf16(expected[i])) / 128;
    } else if constexpr (std::is_same_v<T, std::complex<float>>) {
      error = std::abs(got[i] - expected[i]);
    } else {
      error = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i])) / (sizeof(T) == 2 ? 16 : 1);
    }
    // Values are below 256, and there are at most 16 of them.
    if (error > 0.1) throw CheckFailure(what + ": element " + std::to_string(i) + " is far off");
  }
}

/// Which calls reduce in the order of the tree.
struct TreeOrder {
  bool allReduce = true, reduceScatter = true;
};

/// All-reduce and reduce-scatter of `count` elements, out of place and in place.
template <class T>
void checkReduce(Group& group, DataType type, size_t count, ReduceOp op, TreeOrder tree, const std::string& what) {
  const int size = group.size(), rank = group.rank();
  const auto compare = [&](const std::vector<T>& got, const std::vector<T>& expected, bool exactly,
                           const std::string& call) {
    exactly ? checkBits(got, expected, what + call) : checkNear(got, expected, what + call);
  };
  std::vector<T> expected(count);
  for (size_t i = 0; i < count; ++i) expected[i] = reduced<T>(0, size, i, op);
  std::vector<T> in = contribution<T>(rank, count), out(count);
  CHECK_OK(group.allReduce(in.data(), out.data(), count, type, op));
  compare(out, expected, tree.allReduce, " allReduce");
  checkBits(in, contribution<T>(rank, count), what + " allReduce, its input");
  CHECK_OK(group.allReduce(in.data(), in.data(), count, type, op));
  checkBits(in, out, what + " allReduce in place");
  if (!tree.allReduce) checkAgreed(group, out, what + " allReduce");
  const size_t share = count / size;
  in = contribution<T>(rank, share * size);
  std::vector<T> part(share);
  CHECK_OK(group.reduceScatter(in.data(), part.data(), share, type, op));
  compare(part, {expected.begin() + rank * share, expected.begin() + (rank + 1) * share}, tree.reduceScatter,
          " reduceScatter");
  CHECK_OK(group.reduceScatter(in.data(), in.data(), share, type, op));
  checkBits({in.begin(), in.begin() + share}, part, what + " reduceScatter in place");
}

/// All-gather, broadcast, send and recv.
template <class T>
void checkTransfers(Group& group, DataType type, size_t count, const std::string& what) {
  const int size = group.size(), rank = group.rank();
  std::vector<T> all, gathered(count * size);
  for (int r = 0; r < size; ++r) {
    const std::vector<T> one = contribution<T>(r, count);
    all.insert(all.end(), one.begin(), one.end());
  }
  const std::vector<T> own = contribution<T>(rank, count);
  CHECK_OK(group.allGather(own.data(), gathered.data(), count, type));
  checkBits(gathered, all, what + " allGather");
  std::fill(gathered.begin(), gathered.end(), T{});
  std::copy(own.begin(), own.end(), gathered.begin() + rank * count);
  CHECK_OK(group.allGather(gathered.data() + rank * count, gathered.data(), count, type));
  checkBits(gathered, all, what + " allGather in place");
  const int root = static_cast<int>(count % size);
  std::vector<T> data = rank == root ? own : std::vector<T>(count);
  CHECK_OK(group.broadcast(data.data(), count, type, root));
  checkBits(data, contribution<T>(root, count), what + " broadcast");
  if (size == 1) return;
  // To the rank half around, which often has no wire; the lower half sends first.
  const int far = (rank + size / 2) % size, back = (rank + size - size / 2) % size;
  std::vector<T> got(count);
  if (rank < size / 2) CHECK_OK(group.send(own.data(), count, type, far));
  CHECK_OK(group.recv(got.data(), count, type, back));
  if (rank >= size / 2) CHECK_OK(group.send(own.data(), count, type, far));
  checkBits(got, contribution<T>(back, count), what + " send and recv");
}

}  // namespace espalier::test
