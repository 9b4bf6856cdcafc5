// The model in examples/ with real weights, against what MLX computes from the same files (expected.json).
#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "engine/json.h"
#include "support/ranks.h"
#include "support/test.h"

namespace {

using namespace espalier;
using engine::Json;

Json readExpected() {
  std::ifstream file(std::string(ESPALIER_SPROUT) + "/expected.json");
  std::stringstream text;
  text << file.rdbuf();
  Json root;
  std::string error;
  CHECK(Json::parse(text.str(), root, error));
  return root;
}

std::vector<int32_t> integers(const Json* list) {
  std::vector<int32_t> out;
  for (const Json& item : list->items) out.push_back(static_cast<int32_t>(item.integer));
  return out;
}

std::vector<float> feed(test::Ranks& ranks, const std::vector<int32_t>& tokens, int position) {
  const engine::Segment segment{.slot = 0, .firstPosition = position, .tokens = tokens, .needsLogits = true};
  return ranks.forward({&segment, 1});
}

void checkContinuations(const test::Cut& cut) {
  const Json expected = readExpected();
  test::Ranks ranks(ESPALIER_SPROUT, cut, 256, 1);
  CHECK_EQUAL(ranks.status().message, "");
  if (!ranks.status().ok()) return;
  for (const Json& item : expected.find("continuations")->items) {
    const std::vector<int32_t> prompt = integers(item.find("prompt_ids")), wanted = integers(item.find("ids"));
    std::vector<int32_t> got;
    std::vector<float> logits = feed(ranks, prompt, 0);
    for (int position = static_cast<int>(prompt.size()); got.size() < wanted.size() && !logits.empty();
         position++) {
      got.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
      logits = feed(ranks, {got.back()}, position);
    }
    CHECK(got == wanted);
  }
}

TEST("sprout: logits are MLX's to within rounding") {
  const Json expected = readExpected();
  const Json* logits = expected.find("logits");
  test::Ranks ranks(ESPALIER_SPROUT, {});
  const std::vector<float> got = feed(ranks, integers(logits->find("prompt_ids")), 0);
  const std::vector<int32_t> ids = integers(logits->find("ids"));
  double worst = 0;
  for (size_t i = 0; i < ids.size() && !got.empty(); i++)
    worst = std::max(worst, std::fabs(got[static_cast<size_t>(ids[i])] - logits->find("values")->items[i].number));
  CHECK(!got.empty());
  CHECK(worst < 2e-4 * logits->find("values")->items[0].number);  // the largest logit comes first
  std::printf("     largest difference to MLX's logits: %.2g\n", worst);
}

TEST("sprout: greedy tokens are MLX's on one rank") { checkContinuations({}); }
TEST("sprout: greedy tokens are MLX's on four tensor ranks") { checkContinuations({.tensorSize = 4}); }
TEST("sprout: greedy tokens are MLX's on two by two ranks") { checkContinuations({.tensorSize = 2, .stages = 2}); }

}  // namespace
