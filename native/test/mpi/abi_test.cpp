#include <array>
#include <cstdint>
#include <numeric>

#include "test/mpi/library.h"

// What MLX relies on, as MLX calls it; test/mlx does the same with the real one.

namespace espalier::test {
namespace {

/// Not commutative, and no operation that the library could know.
void oddOperation(void* in, void* inout, int* count, Handle*) {
  for (int i = 0; i < *count; ++i) {
    auto& to = static_cast<uint16_t*>(inout)[i];
    to = static_cast<uint16_t>(3 * to + static_cast<uint16_t*>(in)[i]);
  }
}

int timesCalled = 0;

float widen(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

void largerBfloat16(void* in, void* inout, int* count, Handle*) {
  for (int i = 0; i < *count; ++i) {
    const uint16_t from = static_cast<uint16_t*>(in)[i];
    auto& to = static_cast<uint16_t*>(inout)[i];
    to = widen(from) > widen(to) ? from : to;
  }
}

/// A sum of bfloat16, as MLX has it: through float, rounded to nearest even.
void sumBfloat16(void* in, void* inout, int* count, Handle*) {
  ++timesCalled;
  for (int i = 0; i < *count; ++i) {
    auto& to = static_cast<uint16_t*>(inout)[i];
    const float sum = widen(to) + widen(static_cast<uint16_t*>(in)[i]);
    uint32_t bits;
    std::memcpy(&bits, &sum, sizeof bits);
    to = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

TEST("the version says what MLX looks for, and what this is") {
  Mpi mpi;
  char text[256];
  int length = 0;
  CHECK_EQ(mpi.getVersion(text, &length), 0);
  CHECK_EQ(static_cast<size_t>(length), std::strlen(text));
  CHECK(contains(text, "Open MPI") && contains(text, "Espalier"));
}

TEST("without an environment MPI_Init finds no group and does not throw") {
  Mpi mpi;
  CHECK(mpi.init(nullptr, nullptr) != 0);
  int rank = 0;
  CHECK(contains(thrownBy([&] { mpi.rank(mpi.world, &rank); }), "MPI_Init"));
  CHECK_EQ(mpi.finalize(), 0);
}

TEST("a copy of the world's handle from before MPI_Init, as a linked program has it, is the world") {
  runRanks(2, [](Mpi& mpi, int rank) {
    std::array<uint64_t, 2> copy{};
    std::memcpy(copy.data(), mpi.world, sizeof copy[0]);
    int found = -1;
    CHECK_EQ(mpi.rank(copy.data(), &found), 0);
    CHECK_EQ(found, rank);
  });
}

TEST("a user function that sums bfloat16 is called to be recognised, and not again") {
  runRanks(2, [](Mpi& mpi, int rank) {
    Handle type, op;
    mpi.typeContiguous(2, mpi.object("ompi_mpi_uint8_t"), &type);
    mpi.typeCommit(&type);
    mpi.opCreate(&sumBfloat16, 1, &op);
    std::array<uint16_t, 3> data = {0x3f80, 0x4000, static_cast<uint16_t>(rank == 0 ? 0x3f80 : 0x3b80)};
    for (int round = 0; round < 3; ++round) {
      auto copy = data;
      mpi.allReduce(kMpiInPlace, copy.data(), copy.size(), type, op, mpi.world);
      CHECK(copy == (std::array<uint16_t, 3>{0x4000, 0x4080, 0x3f80}));
    }
    CHECK_EQ(timesCalled, 1);
  });
}

TEST("maxima of bfloat16 are not taken for those of fp16, for which its large numbers are none") {
  runRanks(2, [](Mpi& mpi, int rank) {
    Handle type, op;
    mpi.typeContiguous(2, mpi.object("ompi_mpi_uint8_t"), &type);
    mpi.opCreate(&largerBfloat16, 1, &op);
    // -inf, 1, -3.4e38, 2e38 and inf, of one rank; of the other 1, -inf, 0, 3e38 and 3.
    const std::array<uint16_t, 5> parts[] = {{0xff80, 0x3f80, 0xff7f, 0x7f16, 0x7f80}, {0x3f80, 0xff80, 0, 0x7f62, 0x4040}};
    auto data = parts[rank];
    mpi.allReduce(kMpiInPlace, data.data(), data.size(), type, op, mpi.world);
    CHECK(data == (std::array<uint16_t, 5>{0x3f80, 0x3f80, 0, 0x7f62, 0x7f80}));
  });
}

TEST("any other user function is applied in the same order on every rank") {
  runRanks(4, [](Mpi& mpi, int rank) {
    Handle type, op;
    mpi.typeContiguous(2, mpi.object("ompi_mpi_uint8_t"), &type);
    mpi.opCreate(&oddOperation, 1, &op);
    std::vector<uint16_t> data(700'000, static_cast<uint16_t>(rank + 1)), sum(data.size());
    mpi.allReduce(data.data(), sum.data(), static_cast<int>(data.size()), type, op, mpi.world);
    // ((1, 2), (3, 4)) with a, b -> 3a + b: 5, 13, 28.
    for (const uint16_t value : sum) CHECK_EQ(value, 28);
    mpi.allReduce(kMpiInPlace, nullptr, 0, type, op, mpi.world);
  });
}

TEST("truth values, doubles and nothing at all are reduced") {
  runRanks(3, [](Mpi& mpi, int rank) {
    std::array<uint8_t, 2> flags = {static_cast<uint8_t>(rank == 2), 0};
    Handle flag = mpi.object("ompi_mpi_c_bool"), sum = mpi.object("ompi_mpi_op_sum");
    mpi.allReduce(kMpiInPlace, flags.data(), 2, flag, sum, mpi.world);
    CHECK(flags[0] == 1 && flags[1] == 0);
    mpi.allReduce(kMpiInPlace, flags.data(), 0, flag, sum, mpi.world);
    double value = 0.1 * (rank + 1);
    mpi.allReduce(kMpiInPlace, &value, 1, mpi.object("ompi_mpi_double"), sum, mpi.world);
    CHECK_EQ(value, (0.1 * 1 + 0.1 * 2) + 0.1 * 3);
    const auto complexMax = [&] {
      float pair[2] = {};
      mpi.allReduce(kMpiInPlace, pair, 1, mpi.object("ompi_mpi_c_complex"), mpi.object("ompi_mpi_op_max"), mpi.world);
    };
    CHECK(contains(thrownBy(complexMax), "not defined on ompi_mpi_c_complex"));
  });
}

TEST("a message fills in its status, and one to oneself waits for its receiver") {
  runRanks(2, [](Mpi& mpi, int rank) {
    Handle ints = mpi.object("ompi_mpi_int32_t");
    std::array<int32_t, 5> data{};
    for (const int peer : {1 - rank, rank}) {
      std::iota(data.begin(), data.end(), 10 * rank);
      mpi.send(data.data(), 5, ints, peer, 0, mpi.world);
      MpiStatus status{-1, -1, -1, -1, 0};
      mpi.recv(data.data(), 5, ints, peer, -1, mpi.world, &status);
      CHECK_EQ(data[4], 10 * peer + 4);
      CHECK(status.source == peer && status.tag == 0 && status.error == 0 && status.bytes == 20);
    }
    CHECK(contains(thrownBy([&] { mpi.recv(data.data(), 5, ints, rank, -1, mpi.world, nullptr); }), "send first"));
    CHECK(contains(thrownBy([&] { mpi.send(data.data(), 5, ints, 1 - rank, 3, mpi.world); }), "tag is 3"));
    CHECK(contains(thrownBy([&] { mpi.send(data.data(), -1, ints, 1 - rank, 0, mpi.world); }), "2^31"));
    CHECK(contains(thrownBy([&] { mpi.send(data.data(), 5, &data, 1 - rank, 0, mpi.world); }), "second MPI"));
  });
}

TEST("a split follows color and key; who asks for no part gets none") {
  runRanks(4, [](Mpi& mpi, int rank) {
    Handle part = nullptr;
    mpi.split(mpi.world, rank == 3 ? kMpiUndefined : 8, -rank, &part);
    CHECK_EQ(part == nullptr, rank == 3);
    if (rank == 3) return;
    int partRank = -1, partSize = -1;
    mpi.rank(part, &partRank);
    mpi.size(part, &partSize);
    CHECK_EQ(partSize, 3);
    CHECK_EQ(partRank, 2 - rank);
    std::array<int32_t, 3> all{};
    Handle ints = mpi.object("ompi_mpi_int32_t");
    mpi.allGather(&rank, 1, ints, all.data(), 1, ints, part);
    CHECK(all == (std::array<int32_t, 3>{2, 1, 0}));
    Handle freed = part;
    mpi.free(&part);
    CHECK(part == nullptr);
    // MLX may have calls queued on what it frees.
    mpi.allGather(&rank, 1, ints, all.data(), 1, ints, freed);
  });
}

}  // namespace
}  // namespace espalier::test
