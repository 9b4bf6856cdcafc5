#include "engine/sampler.h"

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "support/test.h"

namespace {

using espalier::engine::SamplingOptions;
using espalier::engine::sampleToken;

/// log of 0.5, 0.3, 0.15, 0.05 at scattered places.
std::vector<float> someLogits() {
  return {std::log(0.15F), std::log(0.5F), std::log(0.05F), std::log(0.3F)};
}

std::array<int, 4> drawMany(const SamplingOptions& options, int draws) {
  std::array<int, 4> counts{};
  for (int index = 0; index < draws; ++index) {
    ++counts[static_cast<size_t>(sampleToken(someLogits(), options, static_cast<uint64_t>(index)))];
  }
  return counts;
}

TEST("temperature 0 takes the most likely token, the lower id at a tie") {
  CHECK_EQUAL(sampleToken(someLogits(), {0, 1, 7}, 3), 1);
  CHECK_EQUAL(sampleToken(std::vector<float>{1, 4, 4, 2}, {0, 1, 7}, 0), 1);
}

TEST("draws follow the probabilities, sharper or flatter by the temperature") {
  constexpr int kDraws = 20000;
  const auto counts = drawMany({1, 1, 42}, kDraws);
  const std::array<double, 4> expected{0.15, 0.5, 0.05, 0.3};
  for (size_t token = 0; token < 4; ++token) {
    CHECK(std::abs(static_cast<double>(counts[token]) / kDraws - expected[token]) < 0.02);
  }
  CHECK(drawMany({0.5F, 1, 42}, kDraws)[1] > counts[1]);
  CHECK(drawMany({2.0F, 1, 42}, kDraws)[1] < counts[1]);
}

TEST("top-p keeps the smallest set that reaches it") {
  const auto counts = drawMany({1, 0.75F, 42}, 5000);
  CHECK_EQUAL(counts[0], 0);
  CHECK_EQUAL(counts[2], 0);
  CHECK(counts[1] > counts[3] && counts[3] > 1500);
  CHECK_EQUAL(drawMany({1, 0, 42}, 100)[1], 100);
}

TEST("a draw depends on seed and index alone") {
  CHECK(drawMany({1, 1, 42}, 500) == drawMany({1, 1, 42}, 500));
  CHECK(drawMany({1, 1, 42}, 500) != drawMany({1, 1, 43}, 500));
}

TEST("logits that are not finite give no token") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK_EQUAL(sampleToken(std::vector<float>{nan, 1, 2}, {1, 1, 7}, 0), -1);
  CHECK_EQUAL(sampleToken(std::vector<float>{1, nan, 2}, {0, 1, 7}, 0), -1);
  CHECK_EQUAL(sampleToken(std::vector<float>{1, infinity, 2}, {0, 1, 7}, 0), -1);
  CHECK_EQUAL(sampleToken(std::vector<float>{-infinity, 1, -infinity}, {1, 1, 7}, 0), 1);
}

}  // namespace
