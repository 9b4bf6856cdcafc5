#include "engine/partition.h"

#include <algorithm>
#include <numeric>

namespace espalier::engine {
namespace {

Status indivisible(const std::string& what, int value, int tensorSize) {
  return Status::failure("IndivisibleShard", what + " (" + std::to_string(value) + ") cannot be cut into " +
                                                 std::to_string(tensorSize) +
                                                 " tensor-parallel shards; choose a smaller tensor size");
}

Status checkShard(const ModelConfig& config, const Shard& shard) {
  const auto invalid = [](const std::string& what) { return Status::failure("RequestInvalid", what); };
  if (shard.tensorSize < 1 || shard.tensorRank < 0 || shard.tensorRank >= shard.tensorSize)
    return invalid("expected a tensor rank from 0 to " + std::to_string(shard.tensorSize - 1) + ", got " +
                   std::to_string(shard.tensorRank));
  if (shard.stageCount < 1 || shard.stage < 0 || shard.stage >= shard.stageCount)
    return invalid("expected a stage from 0 to " + std::to_string(shard.stageCount - 1) + ", got " +
                   std::to_string(shard.stage));
  const bool ordered =
      0 <= shard.firstLayer && shard.firstLayer <= shard.endLayer && shard.endLayer <= config.layers;
  const bool begins = shard.stage > 0 || shard.firstLayer == 0;
  const bool ends = shard.stage < shard.stageCount - 1 || shard.endLayer == config.layers;
  if (!ordered || !begins || !ends)
    return invalid("stage " + std::to_string(shard.stage) + " of " + std::to_string(shard.stageCount) +
                   ": layers " + std::to_string(shard.firstLayer) + " to " + std::to_string(shard.endLayer) +
                   " do not fit a model of " + std::to_string(config.layers) + " layers");
  return Status::success();
}

}  // namespace

int sliceCount(int columns, int unit) {
  for (int slices = kMaxSlices; slices > 1; slices /= 2)
    if (columns % (slices * unit) == 0) return slices;
  return 1;
}

Status partitionModel(const ModelConfig& config, const Shard& shard, Partition& out) {
  Status status = checkShard(config, shard);
  if (!status.ok()) return status;
  const int size = shard.tensorSize;
  const int group = config.quantized ? config.groupSize : 1;
  const int attentionColumns = config.heads * config.headDim;
  // Slices of o_proj are whole heads and whole quantisation groups.
  const int attentionSlices = sliceCount(attentionColumns, std::lcm(group, config.headDim));
  const int mlpSlices = sliceCount(config.intermediateSize, group);
  if (config.heads % size != 0) return indivisible("num_attention_heads", config.heads, size);
  if (config.kvHeads % size != 0) return indivisible("num_key_value_heads", config.kvHeads, size);
  if (attentionSlices % size != 0)
    return indivisible(
        "o_proj's input, which falls into this many slices of whole heads and quantisation groups of " +
            std::to_string(group),
        attentionSlices, size);
  if (mlpSlices % size != 0)
    return indivisible("intermediate_size " + std::to_string(config.intermediateSize) +
                           ", which falls into this many slices of whole quantisation groups of " +
                           std::to_string(group),
                       mlpSlices, size);
  out.tensorSize = size;
  out.tensorRank = shard.tensorRank;
  out.heads = config.heads / size;
  out.kvHeads = config.kvHeads / size;
  out.intermediate = config.intermediateSize / size;
  out.attentionSlices = attentionSlices / size;
  out.mlpSlices = mlpSlices / size;
  out.vocabStride = (config.vocabSize + size - 1) / size;
  out.vocabFirst = std::min(out.vocabStride * shard.tensorRank, config.vocabSize);
  out.vocabRows = std::min(out.vocabStride, config.vocabSize - out.vocabFirst);
  return Status::success();
}

}  // namespace espalier::engine
