#include "engine/step.h"

#include <thread>
#include <vector>

#include "support/groups.h"
#include "support/test.h"

namespace {

using namespace espalier;
using namespace espalier::engine;

constexpr StepLimits kLimits{.slots = 4, .contextLength = 1000, .tokensPerStep = 900, .vocabSize = 50};

/// Sends `step` from rank 0 to rank 1; what came there, and how it ended there.
Status pass(const Step& step, const StepLimits& receiverLimits, Step& received) {
  const auto groups = test::makeGroups(2);
  Status status;
  std::thread receiver([&] { status = broadcastStep(*groups[1], receiverLimits, received); });
  Step sent = step;
  CHECK(broadcastStep(*groups[0], kLimits, sent).ok());
  receiver.join();
  return status;
}

Step makeStep(int tokens) {
  Step step;
  step.kind = StepKind::Run;
  step.tokens.assign(static_cast<size_t>(tokens), 7);
  step.tokens.back() = 9;
  step.segments.push_back({.slot = 3, .firstPosition = 11, .tokenCount = tokens, .samples = 1, .drawIndex = 5,
                           .sampling = {.temperature = 0.5F, .topP = 0.25F, .seed = ~uint64_t{0}}});
  return step;
}

TEST("a step arrives whole, whether it fits in one message or not") {
  for (const int tokens : {1, 200, 900}) {
    Step received;
    CHECK(pass(makeStep(tokens), kLimits, received).ok());
    CHECK(received.tokens == makeStep(tokens).tokens);
    const StepSegment& segment = received.segments.at(0);
    CHECK_EQUAL(segment.slot, 3);
    CHECK_EQUAL(segment.firstPosition, 11);
    CHECK_EQUAL(segment.drawIndex, uint64_t{5});
    CHECK_EQUAL(segment.sampling.seed, ~uint64_t{0});
    CHECK_EQUAL(segment.sampling.topP, 0.25F);
  }
  Step received = makeStep(1);
  CHECK(pass(Step{}, kLimits, received).ok());
  CHECK(received.kind == StepKind::Idle && received.segments.empty() && received.tokens.empty());
}

TEST("a follower refuses a step beyond its limits") {
  Step received;
  StepLimits narrow = kLimits;
  narrow.slots = 2;
  CHECK_EQUAL(pass(makeStep(1), narrow, received).code, std::string("PeerMismatch"));
  narrow = kLimits;
  narrow.contextLength = 11;
  CHECK_EQUAL(pass(makeStep(1), narrow, received).code, std::string("PeerMismatch"));
  narrow = kLimits;
  narrow.vocabSize = 8;
  CHECK_EQUAL(pass(makeStep(1), narrow, received).code, std::string("PeerMismatch"));
  narrow = kLimits;
  narrow.tokensPerStep = 10;
  CHECK_EQUAL(pass(makeStep(100), narrow, received).code, std::string("PeerMismatch"));
}

}  // namespace
