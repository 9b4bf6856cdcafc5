#include "engine/step_runner.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

namespace espalier::engine {

using transport::DataType;

namespace {

/// Failures of a rank, which a group shares with the groups that were split from it.
bool endsAllGroups(const std::string& code) {
  return code == "PeerLost" || code == "PeerStopped" || code == "PeerLeft" || code == "GroupAborted";
}

}  // namespace

StepRunner::StepRunner(Model& model, const Shard& shard, transport::Group& world,
                       transport::Group* tensorGroup)
    : model_(model), shard_(shard), world_(world), tensorGroup_(tensorGroup) {}

Status StepRunner::run(const Step& step, std::vector<int32_t>& sampled) {
  const size_t values = step.tokens.size() * static_cast<size_t>(model_.shape().hiddenSize);
  hidden_.resize(std::max(hidden_.size(), values));
  if (shard_.stage > 0) {
    Status status = world_.recv(hidden_.data(), values, DataType::Float32, world_.rank() - shard_.tensorSize);
    if (!status.ok()) return status;
  }
  Status status = inWorldRanks(forward(step));
  if (!status.ok()) return status;
  if (shard_.stage + 1 < shard_.stageCount) {
    status = world_.send(hidden_.data(), values, DataType::Float32, world_.rank() + shard_.tensorSize);
    if (!status.ok()) return status;
  }

  const auto count = std::count_if(step.segments.begin(), step.segments.end(),
                                   [](const StepSegment& segment) { return segment.samples != 0; });
  sampled.assign(static_cast<size_t>(count), -1);
  if (count == 0) return Status::success();
  if (shard_.stage + 1 == shard_.stageCount && shard_.tensorRank == 0) sample(step, sampled);
  return returnTokens(sampled);
}

Status StepRunner::forward(const Step& step) {
  std::vector<Segment> segments;
  segments.reserve(step.segments.size());
  const int32_t* next = step.tokens.data();
  for (const StepSegment& segment : step.segments) {
    const auto count = static_cast<size_t>(segment.tokenCount);
    segments.push_back({segment.slot, segment.firstPosition, std::span(next, count), segment.samples != 0});
    next += count;
  }
  const size_t values = step.tokens.size() * static_cast<size_t>(model_.shape().hiddenSize);
  return model_.forward(segments, std::span(hidden_.data(), values), logits_, tensorGroup_);
}

void StepRunner::sample(const Step& step, std::vector<int32_t>& sampled) const {
  const auto vocabulary = static_cast<size_t>(model_.shape().vocabSize);
  size_t row = 0;
  for (const StepSegment& segment : step.segments) {
    if (segment.samples == 0) continue;
    const std::span<const float> logits(logits_.data() + row * vocabulary, vocabulary);
    sampled[row++] = sampleToken(logits, segment.sampling, segment.drawIndex);
  }
}

Status StepRunner::returnTokens(std::vector<int32_t>& sampled) {
  const int source = (shard_.stageCount - 1) * shard_.tensorSize;
  if (source == 0) return Status::success();
  if (world_.rank() == source) return world_.send(sampled.data(), sampled.size(), DataType::Int32, 0);
  if (world_.rank() == 0) return world_.recv(sampled.data(), sampled.size(), DataType::Int32, source);
  return Status::success();
}

Status StepRunner::inWorldRanks(Status status) const {
  if (status.ok() || tensorGroup_ == nullptr || tensorGroup_ == &world_) return status;
  if (status.rank >= 0) {
    status.rank += shard_.stage * shard_.tensorSize;
  } else if (endsAllGroups(status.code)) {
    // The stage's group has no number for a rank of another stage. The world is as dead, and says at once why.
    const Status whole = world_.barrier();
    if (!whole.ok()) return whole;
  }
  return status;
}

}  // namespace espalier::engine
