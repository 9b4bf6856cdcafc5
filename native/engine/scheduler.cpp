#include "engine/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

namespace espalier::engine {

Scheduler::Scheduler(const SchedulerLimits& limits) : limits_(limits) {
  for (int slot = limits.step.slots - 1; slot >= 0; --slot) freeSlots_.push_back(slot);
}

Status Scheduler::submit(GenerationRequest request) {
  const auto promptLength = static_cast<int64_t>(request.promptTokens.size());
  const int contextLength = limits_.step.contextLength;
  if (promptLength == 0) return Status::failure("RequestInvalid", "Expected at least one prompt token, got none.");
  if (request.maxTokens < 1) return Status::failure("RequestInvalid", "Expected maxTokens of at least 1.");
  if (promptLength >= contextLength) {
    return Status::failure("ContextLengthExceeded",
                           "This model's context is " + std::to_string(contextLength) + " tokens; the prompt has " +
                               std::to_string(promptLength) + " and at least one is needed for the answer.");
  }
  for (const int32_t token : request.promptTokens) {
    if (token < 0 || token >= limits_.step.vocabSize) {
      return Status::failure("RequestInvalid", "Expected token ids from 0 to " +
                                                   std::to_string(limits_.step.vocabSize - 1) + ", got " +
                                                   std::to_string(token) + ".");
    }
  }
  if (waiting_.size() >= static_cast<size_t>(limits_.maxWaiting) + freeSlots_.size()) {
    return Status::failure("EngineOverloaded", "All " + std::to_string(limits_.step.slots) +
                                                   " slots are busy and " + std::to_string(limits_.maxWaiting) +
                                                   " requests wait. Try again later.");
  }
  request.maxTokens = static_cast<int>(std::min<int64_t>(request.maxTokens, contextLength - promptLength));
  waiting_.push_back(std::move(request));
  return Status::success();
}

void Scheduler::cancel(uint64_t requestId) {
  std::erase_if(waiting_, [requestId](const GenerationRequest& request) { return request.id == requestId; });
  for (size_t index = 0; index < running_.size(); ++index) {
    if (running_[index].request.id == requestId) return release(index);
  }
}

std::vector<uint64_t> Scheduler::clear() {
  std::vector<uint64_t> ids;
  for (const Sequence& sequence : running_) ids.push_back(sequence.request.id);
  for (const GenerationRequest& request : waiting_) ids.push_back(request.id);
  while (!running_.empty()) release(running_.size() - 1);
  waiting_.clear();
  return ids;
}

Step Scheduler::next() {
  admit();
  Step step;
  awaitingTokens_.clear();
  if (running_.empty()) return step;
  step.kind = StepKind::Run;
  int budget = limits_.step.tokensPerStep;
  for (Sequence& sequence : running_) {
    if (sequence.lastToken < 0) continue;
    addSegment(step, sequence, 1);
    budget -= 1;
  }
  for (Sequence& sequence : running_) {
    if (sequence.lastToken >= 0 || budget <= 0) continue;
    const int left = static_cast<int>(sequence.request.promptTokens.size()) - sequence.position;
    const int count = std::min(left, budget);
    addSegment(step, sequence, count);
    budget -= count;
  }
  return step;
}

std::vector<TokenEvent> Scheduler::accept(const std::vector<int32_t>& sampled) {
  std::vector<TokenEvent> events;
  for (size_t row = 0; row < awaitingTokens_.size() && row < sampled.size(); ++row) {
    const auto found = std::find_if(running_.begin(), running_.end(), [&](const Sequence& sequence) {
      return sequence.request.id == awaitingTokens_[row];
    });
    if (found == running_.end()) continue;  // Cancelled while its step ran.
    const int32_t token = sampled[row];
    found->generated += 1;
    found->lastToken = token;
    const FinishReason finish = finishReason(*found, token);
    events.push_back({found->request.id, token, finish});
    if (finish != FinishReason::None) release(static_cast<size_t>(found - running_.begin()));
  }
  awaitingTokens_.clear();
  return events;
}

void Scheduler::admit() {
  while (!waiting_.empty() && !freeSlots_.empty()) {
    Sequence sequence;
    sequence.request = std::move(waiting_.front());
    waiting_.pop_front();
    sequence.slot = freeSlots_.back();
    freeSlots_.pop_back();
    running_.push_back(std::move(sequence));
  }
}

void Scheduler::addSegment(Step& step, Sequence& sequence, int tokenCount) {
  const std::vector<int32_t>& prompt = sequence.request.promptTokens;
  const int first = sequence.position;
  StepSegment segment;
  segment.slot = sequence.slot;
  segment.firstPosition = first;
  segment.tokenCount = tokenCount;
  segment.sampling = sequence.request.sampling;
  segment.drawIndex = static_cast<uint64_t>(sequence.generated);
  if (sequence.lastToken >= 0) {
    step.tokens.push_back(sequence.lastToken);
  } else {
    step.tokens.insert(step.tokens.end(), prompt.begin() + first, prompt.begin() + first + tokenCount);
  }
  sequence.position += tokenCount;
  segment.samples = sequence.position >= static_cast<int>(prompt.size()) ? 1 : 0;
  if (segment.samples != 0) awaitingTokens_.push_back(sequence.request.id);
  step.segments.push_back(segment);
}

FinishReason Scheduler::finishReason(const Sequence& sequence, int32_t token) const {
  const GenerationRequest& request = sequence.request;
  if (token < 0) return FinishReason::Error;
  if (std::find(request.stopTokenIds.begin(), request.stopTokenIds.end(), token) != request.stopTokenIds.end()) {
    return FinishReason::Stop;
  }
  return sequence.generated >= request.maxTokens ? FinishReason::Length : FinishReason::None;
}

void Scheduler::release(size_t index) {
  freeSlots_.push_back(running_[index].slot);
  running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

}  // namespace espalier::engine
