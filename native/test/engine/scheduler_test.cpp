#include "engine/scheduler.h"

#include <numeric>

#include "support/test.h"

// The scheduler alone: what goes into each step, and what becomes of the tokens that come back.

namespace {

using namespace espalier;
using namespace espalier::engine;

constexpr int kVocabulary = 100;

Scheduler makeScheduler(int slots, int tokensPerStep, int contextLength = 64, int maxWaiting = 2) {
  return Scheduler({{slots, contextLength, tokensPerStep, kVocabulary}, maxWaiting});
}

GenerationRequest makeRequest(uint64_t id, int promptLength, int maxTokens = 4) {
  GenerationRequest request;
  request.id = id;
  request.promptTokens.resize(static_cast<size_t>(promptLength));
  std::iota(request.promptTokens.begin(), request.promptTokens.end(), 1);
  request.maxTokens = maxTokens;
  request.stopTokenIds = {99};
  return request;
}

TEST("a long prompt is read in pieces, while the others go on decoding") {
  Scheduler scheduler = makeScheduler(2, 8);
  CHECK(scheduler.submit(makeRequest(1, 3)).ok());
  Step step = scheduler.next();
  CHECK_EQUAL(step.tokens.size(), size_t{3});
  CHECK_EQUAL(step.segments[0].samples, 1U);
  CHECK_EQUAL(scheduler.accept({50}).size(), size_t{1});

  CHECK(scheduler.submit(makeRequest(2, 10)).ok());
  step = scheduler.next();
  CHECK_EQUAL(step.segments.size(), size_t{2});
  CHECK_EQUAL(step.segments[0].tokenCount, 1);
  CHECK_EQUAL(step.segments[0].firstPosition, 3);
  CHECK_EQUAL(step.tokens[0], 50);
  CHECK_EQUAL(step.segments[1].tokenCount, 7);
  CHECK_EQUAL(step.segments[1].samples, 0U);
  CHECK_EQUAL(scheduler.accept({51}).size(), size_t{1});

  step = scheduler.next();
  CHECK_EQUAL(step.segments[1].tokenCount, 3);
  CHECK_EQUAL(step.segments[1].firstPosition, 7);
  CHECK_EQUAL(step.segments[1].samples, 1U);
  CHECK_EQUAL(step.tokens.back(), 10);
}

TEST("a request ends at its stop token, at its limit and at the end of the context") {
  Scheduler scheduler = makeScheduler(3, 16, 8);
  CHECK(scheduler.submit(makeRequest(1, 2, 5)).ok());
  CHECK(scheduler.submit(makeRequest(2, 2, 1)).ok());
  CHECK(scheduler.submit(makeRequest(3, 7, 5)).ok());
  CHECK_EQUAL(scheduler.next().segments.size(), size_t{3});
  const auto events = scheduler.accept({99, 5, 5});
  CHECK(events[0].finish == FinishReason::Stop);
  CHECK(events[1].finish == FinishReason::Length);
  CHECK(events[2].finish == FinishReason::Length);
  CHECK(scheduler.idle());
  CHECK(scheduler.next().kind == StepKind::Idle);
}

TEST("requests wait for a slot in order, and only so many of them") {
  Scheduler scheduler = makeScheduler(1, 16);
  for (uint64_t id = 1; id <= 3; ++id) CHECK(scheduler.submit(makeRequest(id, 2, 1)).ok());
  CHECK_EQUAL(scheduler.submit(makeRequest(4, 2, 1)).code, std::string("EngineOverloaded"));
  for (uint64_t id = 1; id <= 3; ++id) {
    CHECK_EQUAL(scheduler.next().segments.size(), size_t{1});
    CHECK_EQUAL(scheduler.accept({5})[0].requestId, id);
  }
  CHECK(scheduler.idle());
}

TEST("a request that is cancelled while its step runs leaves no event, and its slot goes to the next") {
  Scheduler scheduler = makeScheduler(1, 16);
  CHECK(scheduler.submit(makeRequest(1, 2)).ok());
  CHECK(scheduler.submit(makeRequest(2, 3)).ok());
  CHECK_EQUAL(scheduler.next().tokens.size(), size_t{2});
  scheduler.cancel(1);
  CHECK_EQUAL(scheduler.accept({5}).size(), size_t{0});
  const Step step = scheduler.next();
  CHECK_EQUAL(step.segments[0].slot, 0);
  CHECK_EQUAL(step.segments[0].firstPosition, 0);
  CHECK_EQUAL(step.tokens.size(), size_t{3});
  scheduler.cancel(2);
  scheduler.cancel(77);
  CHECK(scheduler.idle());
}

TEST("what can never run is refused at once") {
  Scheduler scheduler = makeScheduler(1, 16);
  CHECK_EQUAL(scheduler.submit(makeRequest(1, 64)).code, std::string("ContextLengthExceeded"));
  CHECK_EQUAL(scheduler.submit(makeRequest(1, 0)).code, std::string("RequestInvalid"));
  CHECK_EQUAL(scheduler.submit(makeRequest(1, 2, 0)).code, std::string("RequestInvalid"));
  GenerationRequest request = makeRequest(1, 2);
  request.promptTokens[1] = kVocabulary;
  CHECK_EQUAL(scheduler.submit(request).code, std::string("RequestInvalid"));
  CHECK(scheduler.submit(makeRequest(1, 63)).ok());
}

}  // namespace
