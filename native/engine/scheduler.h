#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "engine/sampler.h"
#include "engine/step.h"
#include "status.h"

namespace espalier::engine {

struct GenerationRequest {
  uint64_t id = 0;
  std::vector<int32_t> promptTokens;
  int maxTokens = 16;  ///< cut to what is left of the context
  SamplingOptions sampling;
  std::vector<int32_t> stopTokenIds;
};

/// Error: the model's logits were not finite numbers.
enum class FinishReason : uint8_t { None, Stop, Length, Error };

struct TokenEvent {
  uint64_t requestId = 0;
  int32_t token = -1;
  FinishReason finish = FinishReason::None;
};

struct SchedulerLimits {
  StepLimits step;
  int maxWaiting = 32;  ///< requests beyond those that have a slot
};

/// Rank 0's decision of what to compute next. Pure: no clock, no threads, no I/O.
/// Sequences that decode get their token in every step; what is left of the step's token budget goes to
/// prompts, oldest first, so that a long prompt can not starve the others.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);

  /// EngineOverloaded when the queue is full, ContextLengthExceeded or RequestInvalid when it can never run.
  Status submit(GenerationRequest request);
  /// Forgets the request and frees its slot; unknown ids are ignored.
  void cancel(uint64_t requestId);
  /// Forgets everything; returns the ids.
  std::vector<uint64_t> clear();

  bool idle() const { return running_.empty() && waiting_.empty(); }
  /// Requests with a slot plus requests that wait for one.
  size_t load() const { return running_.size() + waiting_.size(); }
  /// Next step: Run, or Idle when there is nothing to do. Its tokens must be accepted before the next call.
  Step next();
  /// Takes the tokens drawn by the step that `next` gave last, one for each segment that samples.
  std::vector<TokenEvent> accept(const std::vector<int32_t>& sampled);

 private:
  struct Sequence {
    GenerationRequest request;
    int slot = 0;
    int position = 0;         ///< tokens in the KV cache
    int generated = 0;
    int32_t lastToken = -1;   ///< drawn but not yet in the cache; -1 while the prompt is read
  };

  void admit();
  void addSegment(Step& step, Sequence& sequence, int tokenCount);
  FinishReason finishReason(const Sequence& sequence, int32_t token) const;
  void release(size_t index);

  SchedulerLimits limits_;
  std::deque<GenerationRequest> waiting_;
  std::vector<Sequence> running_;          ///< oldest first
  std::vector<int> freeSlots_;
  std::vector<uint64_t> awaitingTokens_;   ///< request ids of the last step's segments that sample
};

}  // namespace espalier::engine
