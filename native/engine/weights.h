#pragma once
#include <vector>

#include "engine/packed_matrix.h"
#include "engine/partition.h"

namespace espalier::engine {

/// y = W x + bias, this rank's slice.
struct Linear {
  PackedMatrix matrix;
  std::vector<float>
      bias;  ///< empty when there is none; of row-parallel products whole, added after the sum over ranks
};

struct LayerWeights {
  std::vector<float> inputNorm;
  std::vector<float> mlpNorm;
  Linear query, key, value, output;
  Linear gate, up, down;
};

/// What one rank holds. The embedding table is not copied: rows are read from the mapped file as tokens need them.
struct Weights {
  TensorStore store;       ///< first stage only: what the embedding table lies in
  StoredMatrix embedding;  ///< first stage only
  std::vector<LayerWeights> layers;
  std::vector<float> finalNorm;  ///< last stage only
  PackedMatrix head;             ///< last stage only: rows [vocabFirst, vocabFirst + vocabRows)
  uint64_t bytes = 0;  ///< held by this rank: its slices and what is replicated, the embedding table excepted
};

/// Opens the folder's files, checks every tensor that the shard needs, and packs the shard's slices.
Status loadWeights(const std::string& folder, const ModelConfig& config, const Shard& shard,
                   const Partition& partition, ThreadPool& pool, Weights& out);

}  // namespace espalier::engine
