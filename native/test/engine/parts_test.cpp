// The small parts: partition, rotary frequencies, rows of quantised tables, the thread pool.
#include <atomic>
#include <cmath>

#include "engine/packed_matrix.h"
#include "engine/partition.h"
#include "engine/rope.h"
#include "engine/thread_pool.h"
#include "support/model_writer.h"
#include "support/test.h"

namespace {

using namespace espalier;

TEST("partition: slices are whole units") {
  CHECK_EQUAL(engine::sliceCount(256, 64), 4);
  CHECK_EQUAL(engine::sliceCount(768, 64), 4);
  CHECK_EQUAL(engine::sliceCount(8192, 64), 8);
  CHECK_EQUAL(engine::sliceCount(896, 64), 2);
  CHECK_EQUAL(engine::sliceCount(96, 64), 1);
}

TEST("partition: ranks cover the vocabulary once") {
  engine::ModelConfig config;
  config.hiddenSize = config.intermediateSize = 64, config.layers = 2, config.heads = config.kvHeads = 8,
  config.headDim = 8;
  for (const int vocab : {5, 8, 37, 2048})
    for (const int size : {1, 2, 4, 8}) {
      config.vocabSize = vocab;
      int next = 0;
      for (int rank = 0; rank < size; rank++) {
        engine::Partition part;
        CHECK(engine::partitionModel(config, {.tensorRank = rank, .tensorSize = size, .endLayer = 2}, part).ok());
        CHECK_EQUAL(part.vocabFirst, next);
        CHECK(part.vocabRows >= 0 && part.vocabRows <= part.vocabStride);
        next += part.vocabRows;
      }
      CHECK_EQUAL(next, vocab);
    }
}

TEST("rope: llama3 keeps short waves and stretches long ones") {
  const engine::RopeConfig plain{.theta = 500000.0};
  const engine::RopeConfig scaled{.theta = 500000.0,
                                  .scaling = engine::RopeScaling::Llama3,
                                  .factor = 32,
                                  .lowFrequencyFactor = 1,
                                  .highFrequencyFactor = 4,
                                  .originalMaxPositions = 8192};
  CHECK_EQUAL(engine::ropeFrequency(scaled, 64, 0), engine::ropeFrequency(plain, 64, 0));
  CHECK(std::fabs(engine::ropeFrequency(scaled, 64, 31) * 32 / engine::ropeFrequency(plain, 64, 31) - 1) < 1e-12);
  for (int i = 1; i < 32; i++)
    CHECK(engine::ropeFrequency(scaled, 64, i) < engine::ropeFrequency(scaled, 64, i - 1));
}

TEST("rows: codes unpack from the low bits up") {
  const std::string folder = test::temporaryFolder();
  const uint32_t words[] = {0x76543210, 0xFEDCBA98, 0, 0xFFFFFFFF};
  const auto bytes = [](const auto& values) {
    return std::string(reinterpret_cast<const char*>(&values), sizeof(values));
  };
  const float scale = 0.5F, bias = -2.0F;
  test::writeSafetensors(folder + "/model.safetensors", {{"x.weight", {"U32", {1, 4}, bytes(words)}},
                                                         {"x.scales", {"F32", {1, 1}, bytes(scale)}},
                                                         {"x.biases", {"F32", {1, 1}, bytes(bias)}}});
  engine::TensorStore store;
  CHECK_EQUAL(engine::TensorStore::open(folder, store).message, "");
  engine::ModelConfig config;
  config.quantized = true, config.groupSize = 32, config.bits = 4;
  engine::StoredMatrix matrix;
  CHECK_EQUAL(engine::findMatrix(store, config, "x", 1, 32, matrix).message, "");
  float row[32];
  engine::readRow(matrix, 0, row);
  for (int i = 0; i < 32; i++) CHECK_EQUAL(row[i], (i < 16 ? i : i < 24 ? 0 : 15) * 0.5F - 2.0F);
}

TEST("thread pool: every index once, loop after loop") {
  for (const int threads : {1, 2, 4}) {
    engine::ThreadPool pool(threads);
    CHECK_EQUAL(pool.threads(), threads);
    for (int round = 0; round < 300; round++) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(round));
      pool.run(round, 3, [&](int begin, int end, int thread) {
        CHECK(thread >= 0 && thread < threads);
        for (int i = begin; i < end; i++) hits[static_cast<size_t>(i)]++;
      });
      for (const auto& hit : hits) CHECK_EQUAL(hit.load(), 1);
    }
  }
}

}  // namespace
