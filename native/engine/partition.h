#pragma once
#include "engine/config.h"
#include "engine/model.h"
#include "status.h"

namespace espalier::engine {

/// Row-parallel products (o_proj, down_proj) are summed over this many slices at most, whatever the tensor size.
constexpr int kMaxSlices = 8;

/// What one rank holds of every layer of its stage.
struct Partition {
  int tensorSize = 1;
  int tensorRank = 0;
  int heads = 0;            ///< query heads of this rank
  int kvHeads = 0;          ///< key/value heads of this rank
  int intermediate = 0;     ///< columns of down_proj of this rank
  int attentionSlices = 1;  ///< slices of o_proj's sum that this rank computes
  int mlpSlices = 1;        ///< slices of down_proj's sum that this rank computes
  int vocabFirst = 0;       ///< first row of the LM head
  int vocabRows = 0;        ///< rows of the LM head that exist; the last rank may hold fewer
  int vocabStride = 0;      ///< rows each rank contributes to the all-gather
};

/// Largest of 8, 4, 2, 1 that cuts `columns` into equal slices of whole units.
int sliceCount(int columns, int unit);

/// Pure. IndivisibleShard names the numbers that do not divide; RequestInvalid for a rank, stage or layers out of
/// range.
Status partitionModel(const ModelConfig& config, const Shard& shard, Partition& out);

}  // namespace espalier::engine
