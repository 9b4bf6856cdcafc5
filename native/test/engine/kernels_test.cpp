// Every instruction set against the scalar reference, bit for bit, and the reference against exact arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "engine/kernels.h"
#include "engine/packed_matrix.h"
#include "support/model_writer.h"
#include "support/test.h"

namespace {

using namespace espalier;
using engine::Kernels;

struct Vectors {
  int tokens, columns, bits, groupSize;
  std::vector<float> values, scales, sums;
  std::vector<int16_t> codes;

  Vectors(std::mt19937& random, int tokens, int columns, int bits, int groupSize)
      : tokens(tokens),
        columns(columns),
        bits(bits),
        groupSize(groupSize),
        values(static_cast<size_t>(tokens * columns)) {
    std::normal_distribution<float> normal;
    for (float& value : values) value = normal(random) * (random() % 40 == 0 ? 30.0F : 1.0F);
  }
  void encode(const Kernels& kernels) {
    if (bits == 0) return;
    const size_t groups = static_cast<size_t>(columns / groupSize), count = static_cast<size_t>(tokens);
    codes.assign(values.size(), 0);
    scales.assign(groups * count, 0);
    sums.assign(groups * count, 0);
    for (size_t t = 0; t < count; t++) {
      const size_t at = t * static_cast<size_t>(columns);
      kernels.encode(values.data() + at, columns, bits, groupSize, codes.data() + at, scales.data() + t * groups,
                     sums.data() + t * groups);
    }
  }
  engine::Activations view() const {
    return {.tokens = tokens,
            .values = values.data(),
            .valueStride = static_cast<size_t>(columns),
            .codes = codes.data(),
            .codeStride = static_cast<size_t>(columns),
            .scales = scales.data(),
            .sums = sums.data(),
            .groupStride = bits == 0 ? 0 : static_cast<size_t>(columns / groupSize)};
  }
};

struct Example {
  engine::TensorType type;
  int bits, groupSize, rows, columns, slices, tokens;
};

/// A random matrix: the embedding table of a written model.
struct Matrix {
  test::WrittenModel model;
  engine::TensorStore store;
  engine::StoredMatrix stored;
  engine::PackedMatrix packed;

  explicit Matrix(const Example& example) {
    model = test::writeModel({.type = example.type,
                              .bits = example.bits,
                              .groupSize = example.groupSize,
                              .hiddenSize = example.columns,
                              .intermediateSize = example.groupSize,
                              .layers = 1,
                              .heads = 1,
                              .kvHeads = 1,
                              .headDim = example.groupSize,
                              .vocabSize = example.rows});
    engine::ThreadPool pool(1);
    engine::ModelConfig config;
    CHECK_EQUAL(engine::loadModelConfig(model.folder, config).message, "");
    CHECK_EQUAL(engine::TensorStore::open(model.folder, store).message, "");
    CHECK_EQUAL(
        engine::findMatrix(store, config, "model.embed_tokens", example.rows, example.columns, stored).message, "");
    CHECK_EQUAL(
        engine::packMatrix(stored, {.rows = example.rows, .columns = example.columns, .slices = example.slices},
                           pool, packed)
            .message,
        "");
  }
};

std::vector<float> multiply(const Kernels& kernels, const Matrix& matrix, Vectors& x) {
  x.encode(kernels);
  const engine::MatrixView& view = matrix.packed.view;
  std::vector<float> out(static_cast<size_t>(x.tokens * view.rows));
  kernels.multiply(view, x.view(), 0, (view.rows + engine::kBlockRows - 1) / engine::kBlockRows, out.data(),
                   static_cast<size_t>(view.rows));
  return out;
}

void checkExact(const Matrix& matrix, const Vectors& x, const std::vector<float>& got) {
  const std::vector<double>& weight = matrix.model.tensors.at("model.embed_tokens");
  const auto columns = static_cast<size_t>(x.columns), rows = static_cast<size_t>(matrix.packed.view.rows);
  for (size_t t = 0; t < static_cast<size_t>(x.tokens); t++)
    for (size_t row = 0; row < rows; row++) {
      double sum = 0, bound = 0;
      for (size_t i = 0; i < columns; i++) {
        const double w = weight[row * columns + i], value = x.values[t * columns + i];
        const double half =
            x.bits == 0 ? 0 : x.scales[(t * columns + i) / static_cast<size_t>(x.groupSize)] * 0.501;
        sum += w * value;
        // Rounding of the codes as Kernels::encode promises, and of f32 sums.
        bound += std::fabs(w) * half + 4e-6 * std::fabs(w * value);
      }
      CHECK(std::fabs(got[t * rows + row] - sum) <= bound + 1e-6);
    }
}

TEST("kernels: every set multiplies to the same bits, and close to exact") {
  std::mt19937 random(7);
  std::vector<Example> examples;
  for (const auto type : {engine::TensorType::F32, engine::TensorType::F16, engine::TensorType::BF16}) {
    for (const int tokens : {1, 2, 3, 5, 15}) examples.push_back({type, 0, 32, 37, 56, 1, tokens});
    examples.push_back({type, 0, 32, 16, 7, 1, 1});
    examples.push_back({type, 0, 32, 33, 88, 8, 4});
    for (const int bits : {4, 8})
      for (const int groupSize : {32, 64, 128})
        for (const int tokens : {1, 3, 12, 15})
          examples.push_back({type, bits, groupSize, 37, groupSize * 8, tokens % 2 == 0 ? 8 : 2, tokens});
  }
  for (const Example& example : examples) {
    const Matrix matrix(example);
    Vectors x(random, example.tokens, example.columns, example.bits, example.groupSize);
    const std::vector<float> wanted = multiply(*engine::availableKernels().front(), matrix, x);
    checkExact(matrix, x, wanted);
    for (const Kernels* kernels : engine::availableKernels())
      CHECK(std::memcmp(multiply(*kernels, matrix, x).data(), wanted.data(), wanted.size() * sizeof(float)) == 0);
  }
}

TEST("kernels: a token's product does not depend on the tokens beside it") {
  std::mt19937 random(8);
  for (const int bits : {0, 4, 8}) {
    const Matrix matrix({engine::TensorType::F16, bits, 32, 32, 256, 4, 1});
    Vectors many(random, 15, 256, bits, 32);
    for (const Kernels* kernels : engine::availableKernels()) {
      const std::vector<float> together = multiply(*kernels, matrix, many);
      for (size_t t = 0; t < 15; t++) {
        Vectors one(random, 1, 256, bits, 32);
        std::copy_n(many.values.begin() + static_cast<std::ptrdiff_t>(t) * 256, 256, one.values.begin());
        CHECK(std::memcmp(multiply(*kernels, matrix, one).data(), together.data() + t * 32, 32 * sizeof(float)) ==
              0);
      }
    }
  }
}

TEST("kernels: codes, and their zero") {
  for (const Kernels* kernels : engine::availableKernels())
    for (const int bits : {4, 8}) {
      std::vector<float> x(64, 0.0F);
      for (int i = 0; i < 32; i++) x[static_cast<size_t>(i)] = static_cast<float>(i - 16);
      int16_t codes[64];
      float scales[2], sums[2];
      kernels->encode(x.data(), 64, bits, 32, codes, scales, sums);
      CHECK_EQUAL(scales[0], 16.0F / 32767);
      CHECK_EQUAL(scales[1], 0.0F);
      CHECK_EQUAL(sums[1], 0.0F);
      CHECK_EQUAL(codes[0], -32767);                       // column 0 comes first in either order
      CHECK_EQUAL(codes[1], bits == 4 ? -24575 : -28671);  // column 4, or column 2
      CHECK(std::fabs(sums[0] + 16.0F) < 1e-3);
      for (size_t i = 32; i < 64; i++) CHECK_EQUAL(codes[i], 0);
    }
}

TEST("kernels: what is not finite is not hidden") {
  for (const Kernels* kernels : engine::availableKernels())
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      std::vector<float> x(64, 1.0F), up(64, 1.0F);
      x[33] = bad;
      int16_t codes[64];
      float scales[2], sums[2];
      kernels->encode(x.data(), 64, 4, 32, codes, scales, sums);
      CHECK(scales[0] == 1.0F / 32767 && std::isnan(scales[1]) && std::isnan(sums[1]));
      std::vector<float> soft(x);
      kernels->softmax(soft.data(), 64, 1.0F);
      CHECK(std::isnan(soft[33]) || bad == -INFINITY);
      kernels->gate(x.data(), up.data(), 64);
      CHECK(!std::isfinite(x[33]) && x[32] == x[0]);
    }
}

TEST("kernels: vector functions are the same bits in every set, and close to libm") {
  std::mt19937 random(9);
  std::normal_distribution<float> normal(0, 6);
  for (const int count : {1, 15, 16, 17, 100, 513}) {
    std::vector<float> x(static_cast<size_t>(count)), y(x), w(x);
    for (size_t i = 0; i < x.size(); i++) x[i] = normal(random), y[i] = normal(random), w[i] = normal(random);
    if (count > 20) x[3] = 200, x[4] = -200;
    double squares = 0, sum = 0, top = -1e30;
    for (const float value : x) squares += static_cast<double>(value) * value, top = std::max<double>(top, value);
    for (const float value : x) sum += std::exp((value - top) * 0.125);
    for (const Kernels* kernels : engine::availableKernels()) {
      const Kernels& scalar = *engine::availableKernels().front();
      std::vector<float> norm(x), gate(x), soft(x), norm0(x), gate0(x), soft0(x);
      kernels->rmsNorm(x.data(), w.data(), count, 1e-5F, norm.data());
      kernels->gate(gate.data(), y.data(), count);
      kernels->softmax(soft.data(), count, 0.125F);
      scalar.rmsNorm(x.data(), w.data(), count, 1e-5F, norm0.data());
      scalar.gate(gate0.data(), y.data(), count);
      scalar.softmax(soft0.data(), count, 0.125F);
      CHECK(norm == norm0 && gate == gate0 && soft == soft0);
      for (size_t i = 0; i < x.size(); i++) {
        const double a = x[i];
        CHECK(std::fabs(norm[i] - a / std::sqrt(squares / count + 1e-5) * w[i]) <=
              1e-5 * std::fabs(norm[i]) + 1e-7);
        CHECK(std::fabs(gate[i] - a / (1 + std::exp(-a)) * y[i]) <= 1e-6 * std::fabs(gate[i]) + 1e-6);
        CHECK(std::fabs(soft[i] - std::exp((a - top) * 0.125) / sum) <= 2e-6);
      }
    }
  }
}

}  // namespace
