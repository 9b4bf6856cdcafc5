// Whole models: close to a double-precision reference, and the same bits however they are cut, batched and
// threaded.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "support/ranks.h"
#include "support/reference.h"
#include "support/test.h"

namespace {

using namespace espalier;
using engine::Segment;
using engine::TensorType;
using test::TinyModel;

std::vector<int32_t> sequence(uint32_t seed, size_t length, int vocabSize) {
  std::mt19937 random(seed);
  std::vector<int32_t> out(length);
  for (int32_t& token : out) token = static_cast<int32_t>(random() % static_cast<uint32_t>(vocabSize));
  return out;
}

/// How the tokens of three sequences travel.
enum class Schedule { AloneByToken, AloneWhole, Together, Mixed };

constexpr size_t kLengths[] = {21, 5, 34};
constexpr size_t kDecoded = 4;  // the last tokens of a sequence are fed one at a time, with logits

/// Logits of the last kDecoded + 1 positions of each sequence, in order.
std::vector<float> run(const std::string& folder, int vocabSize, const test::Cut& cut, Schedule schedule) {
  test::Ranks ranks(folder, cut);
  CHECK_EQUAL(ranks.status().message, "");
  std::vector<std::vector<int32_t>> tokens;
  for (const size_t length : kLengths) tokens.push_back(sequence(static_cast<uint32_t>(length), length, vocabSize));
  std::vector<std::vector<float>> logits(tokens.size());
  const auto feed = [&](const std::vector<std::array<size_t, 3>>& parts) {  // {sequence, from, to}
    std::vector<Segment> segments;
    std::vector<size_t> owners;
    for (const auto& [at, from, to] : parts) {
      const bool wanted = to + kDecoded >= tokens[at].size();
      segments.push_back({static_cast<int>(at) + 1, static_cast<int>(from),
                          std::span(tokens[at]).subspan(from, to - from), wanted});
      if (wanted) owners.push_back(at);
    }
    const std::vector<float> got = ranks.forward(segments);
    CHECK_EQUAL(got.size(), owners.size() * static_cast<size_t>(vocabSize));
    for (size_t i = 0; i < owners.size() && !got.empty(); i++) {
      const auto row = got.begin() + static_cast<std::ptrdiff_t>(i) * vocabSize;
      logits[owners[i]].insert(logits[owners[i]].end(), row, row + vocabSize);
    }
  };
  for (size_t at = 0; at < tokens.size() && schedule == Schedule::AloneByToken; at++)
    for (size_t i = 0; i < tokens[at].size(); i++) feed({{at, i, i + 1}});
  for (size_t at = 0; at < tokens.size() && schedule == Schedule::AloneWhole; at++) {
    const size_t prompt = tokens[at].size() - kDecoded;
    feed({{at, 0, prompt}});
    for (size_t i = prompt; i < tokens[at].size(); i++) feed({{at, i, i + 1}});
  }
  if (schedule == Schedule::Together) {
    feed({{2, 0, 30}, {0, 0, 17}, {1, 0, 1}});
    for (size_t i = 0; i < kDecoded; i++) feed({{0, 17 + i, 18 + i}, {1, 1 + i, 2 + i}, {2, 30 + i, 31 + i}});
  }
  if (schedule == Schedule::Mixed) {
    feed({{0, 0, 7}});
    feed({{2, 0, 13}, {0, 7, 17}});
    feed({{0, 17, 18}, {2, 13, 30}});
    feed({{1, 0, 1}, {0, 18, 19}, {2, 30, 31}});
    feed({{2, 31, 32}, {1, 1, 2}});
    for (size_t i = 0; i < 2; i++) feed({{0, 19 + i, 20 + i}, {1, 2 + i, 3 + i}, {2, 32 + i, 33 + i}});
    feed({{1, 4, 5}});
  }
  std::vector<float> out;
  for (const auto& each : logits) out.insert(out.end(), each.begin(), each.end());
  return out;
}

bool sameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void checkReference(const test::WrittenModel& model, const std::vector<float>& got) {
  const auto vocab = static_cast<size_t>(model.shape.vocabSize);
  double worst = 0, largest = 0;
  size_t at = 0;
  for (const size_t length : kLengths) {
    const std::vector<double> wanted =
        referenceLogits(model, sequence(static_cast<uint32_t>(length), length, model.shape.vocabSize));
    for (size_t i = (length - kDecoded - 1) * vocab; i < wanted.size() && at < got.size(); i++, at++) {
      worst = std::max(worst, std::fabs(got[at] - wanted[i]));
      largest = std::max(largest, std::fabs(wanted[i]));
    }
  }
  CHECK_EQUAL(at, got.size());
  // Quantised layers see their input as 16-bit codes: some 3e-5 of noise per product, where bf16 would give 1e-3.
  CHECK(worst <= (model.shape.bits > 0 ? 2e-4 : 2e-6) * largest);
}

void checkModel(const TinyModel& shape, const std::vector<int>& tensorSizes) {
  const test::WrittenModel model = test::writeModel(shape);
  const std::vector<float> wanted = run(model.folder, shape.vocabSize, {}, Schedule::AloneWhole);
  checkReference(model, wanted);
  for (const Schedule schedule : {Schedule::AloneByToken, Schedule::Together, Schedule::Mixed})
    CHECK(sameBits(wanted, run(model.folder, shape.vocabSize, {}, schedule)));
  for (const int tensorSize : tensorSizes)
    for (const int stages : {1, 2})
      for (const int threads : {1, 2})
        // Five ranks or more with two threads each would show nothing new, slowly.
        if (tensorSize * threads <= 4)
          CHECK(sameBits(wanted,
                         run(model.folder, shape.vocabSize,
                             {.tensorSize = tensorSize, .stages = stages, .threads = threads}, Schedule::Mixed)));
  for (const engine::Kernels* kernels : engine::availableKernels())
    CHECK(sameBits(wanted, run(model.folder, shape.vocabSize, {.kernels = kernels}, Schedule::Together)));
}

constexpr const char* kLlama3Scaling =
    R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, )"
    R"("original_max_position_embeddings": 32})";
const std::vector<int> kOneTwoFour = {1, 2, 4};

TEST("forward: llama f32") { checkModel({}, kOneTwoFour); }
TEST("forward: llama bf16, separate head, three files") {
  checkModel({.type = TensorType::BF16, .tied = false, .files = 3}, kOneTwoFour);
}
TEST("forward: llama f16, attention bias, llama3 rope") {
  checkModel({.type = TensorType::F16, .attentionBias = true, .ropeScaling = kLlama3Scaling}, kOneTwoFour);
}
TEST("forward: llama q4 group 32, linear rope") {
  checkModel({.type = TensorType::F16, .bits = 4, .ropeScaling = R"({"type": "linear", "factor": 4.0})"},
             kOneTwoFour);
}
TEST("forward: llama q4 group 64 bf16, separate head") {
  checkModel({.type = TensorType::BF16,
              .bits = 4,
              .groupSize = 64,
              .hiddenSize = 256,
              .intermediateSize = 512,
              .headDim = 32,
              .tied = false},
             kOneTwoFour);
}
TEST("forward: llama q8 group 128 f32") {
  checkModel({.bits = 8, .groupSize = 128, .hiddenSize = 512, .intermediateSize = 512, .layers = 2, .headDim = 64},
             kOneTwoFour);
}
TEST("forward: qwen2 bf16") { checkModel({.architecture = "qwen2", .type = TensorType::BF16}, kOneTwoFour); }
TEST("forward: qwen2 q4") {
  checkModel({.architecture = "qwen2", .type = TensorType::F16, .bits = 4, .files = 2}, kOneTwoFour);
}
TEST("forward: qwen2 q8") {
  checkModel({.architecture = "qwen2", .type = TensorType::F16, .bits = 8}, kOneTwoFour);
}
TEST("forward: eight tensor ranks") { checkModel({.hiddenSize = 256, .heads = 16, .kvHeads = 8}, {8}); }
TEST("forward: widths that fill no vector") {
  checkModel({.hiddenSize = 84, .intermediateSize = 88, .heads = 6, .kvHeads = 2, .headDim = 22, .vocabSize = 37},
             {1, 2});
}

TEST("forward: a batch longer than the workspace runs in pieces") {
  const test::WrittenModel model = test::writeModel({});
  const std::vector<int32_t> tokens = sequence(3, 300, 203);
  test::Ranks whole(model.folder, {}, 300, 1), pieces(model.folder, {}, 300, 1);
  const Segment all{.slot = 0, .firstPosition = 0, .tokens = tokens, .needsLogits = true};
  const std::vector<float> wanted = whole.forward({&all, 1});
  std::vector<float> got;
  for (size_t from = 0; from < tokens.size(); from += 60) {
    const Segment part{.slot = 0,
                       .firstPosition = static_cast<int>(from),
                       .tokens = std::span(tokens).subspan(from, 60),
                       .needsLogits = from == 240};
    const std::vector<float> logits = pieces.forward({&part, 1});
    if (from == 240) got = logits;
  }
  CHECK(!wanted.empty() && sameBits(wanted, got));
}

}  // namespace
