#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "status.h"
#include "transport/group.h"

namespace espalier::engine {

/// The part of the model that one rank holds. Ranks of the same stage form a tensor-parallel group;
/// stages form the pipeline. World rank = stage * tensorSize + tensorRank.
struct Shard {
  int tensorRank = 0;
  int tensorSize = 1;
  int stage = 0;
  int stageCount = 1;
  int firstLayer = 0;  ///< first layer of this stage
  int endLayer = 0;    ///< one past its last layer
};

struct ModelOptions {
  std::string folder;        ///< config.json, *.safetensors (one file or an index)
  Shard shard;
  int contextLength = 2048;  ///< positions per sequence
  int maxSequences = 1;      ///< KV slots
  int threads = 1;
};

/// The sizes of the model that callers need; all layers, not only this shard's.
struct ModelShape {
  std::string architecture;  ///< "llama", "qwen2"
  int layers = 0;
  int hiddenSize = 0;
  int vocabSize = 0;
  int maxPositions = 0;
};

/// New tokens of one sequence: `tokens` go to positions firstPosition, firstPosition + 1, … of KV slot `slot`.
struct Segment {
  int slot = 0;
  int firstPosition = 0;
  std::span<const int32_t> tokens;
  bool needsLogits = false;  ///< logits of the last of these tokens are wanted
};

/// One rank's share of a Llama-family model: maps the files, reads only its own slices.
///
/// Results are the same bits whatever the tensor-parallel size (1, 2, 4, 8), the pipeline split, the
/// batch a token travels in, or the number of threads: row-parallel products are summed over a fixed
/// number of slices in a fixed tree, the one that Group::allReduce continues.
class Model {
 public:
  static std::unique_ptr<Model> load(const ModelOptions& options, Status& status);
  virtual ~Model() = default;

  virtual const ModelShape& shape() const = 0;
  /// Bytes of weights that this rank holds (its slices plus what is replicated).
  virtual uint64_t shardBytes() const = 0;
  /// Bytes of KV cache and workspace.
  virtual uint64_t cacheBytes() const = 0;

  /// Runs this stage over `segments` (T tokens in all).
  /// hidden: [T × hiddenSize] f32 in and out; the first stage fills it from embeddings, later stages
  /// take their input from it; on return it holds this stage's output.
  /// logits: on the last stage, resized to [segments with needsLogits × vocabSize] f32, the same on
  /// all ranks of the stage; untouched elsewhere.
  /// tensorGroup: the ranks of this stage (size 1 allowed; null means size 1); the same group in every call.
  virtual Status forward(std::span<const Segment> segments, std::span<float> hidden,
                         std::vector<float>& logits, transport::Group* tensorGroup) = 0;
};

}  // namespace espalier::engine
