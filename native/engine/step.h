#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "engine/sampler.h"
#include "status.h"
#include "transport/group.h"

namespace espalier::engine {

/// Idle: nothing to compute, rank 0 only proves that it lives. Stop: every rank leaves, in order.
enum class StepKind : uint32_t { Idle, Run, Stop };

/// New tokens of one sequence and what to do after them. Plain data, as it goes over the wire.
struct StepSegment {
  int32_t slot = 0;
  int32_t firstPosition = 0;
  int32_t tokenCount = 0;
  /// 1: draw a token from the logits of the last of these tokens.
  uint32_t samples = 0;
  uint64_t drawIndex = 0;
  SamplingOptions sampling;
};

/// What all ranks do together next. Decided by rank 0 alone and broadcast, so that ranks can not diverge.
struct Step {
  StepKind kind = StepKind::Idle;
  std::vector<StepSegment> segments;
  std::vector<int32_t> tokens;  ///< of all segments, one after the other
};

/// What a step may contain: a follower refuses more.
struct StepLimits {
  int slots = 1;
  int contextLength = 0;
  int tokensPerStep = 0;
  int vocabSize = 0;
};

/// Sends rank 0's step to all ranks, or receives it there. Collective over `world`.
Status broadcastStep(transport::Group& world, const StepLimits& limits, Step& step);

}  // namespace espalier::engine
