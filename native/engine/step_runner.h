#pragma once
#include <cstdint>
#include <vector>

#include "engine/model.h"
#include "engine/step.h"
#include "status.h"
#include "transport/group.h"

namespace espalier::engine {

/// Runs one step on this rank: takes the hidden states from the stage before, computes this stage, hands
/// them to the stage after; the last stage draws the tokens and returns them to rank 0.
/// Stages are joined rank by rank: tensor rank t of stage s talks to tensor rank t of stage s + 1.
class StepRunner {
 public:
  /// `tensorGroup` holds the ranks of this stage; null when there is only this one.
  StepRunner(Model& model, const Shard& shard, transport::Group& world, transport::Group* tensorGroup);

  /// On rank 0 `sampled` gets one token for each segment that samples, in order; elsewhere it is unspecified.
  /// A failure names the guilty rank in the world group.
  Status run(const Step& step, std::vector<int32_t>& sampled);

 private:
  Status forward(const Step& step);
  void sample(const Step& step, std::vector<int32_t>& sampled) const;
  Status returnTokens(std::vector<int32_t>& sampled);
  /// Ranks of a stage's group are numbered within the stage; everybody else speaks of world ranks.
  Status inWorldRanks(Status status) const;

  Model& model_;
  Shard shard_;
  transport::Group& world_;
  transport::Group* tensorGroup_;
  std::vector<float> hidden_;
  std::vector<float> logits_;
};

}  // namespace espalier::engine
