#include "engine/weights.h"

namespace espalier::engine {
namespace {

class Loader {
 public:
  Loader(const ModelConfig& config, const Partition& partition, ThreadPool& pool, Weights& out)
      : config_(config), part_(partition), pool_(pool), out_(out) {}

  Status layer(int index, LayerWeights& layer) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const int queryRows = config_.heads * config_.headDim, keyRows = config_.kvHeads * config_.headDim;
    const bool bias = config_.queryKeyValueBias;
    Status status = norm(prefix + "input_layernorm.weight", layer.inputNorm);
    if (status.ok()) status = norm(prefix + "post_attention_layernorm.weight", layer.mlpNorm);
    if (status.ok()) status = columnParallel(prefix + "self_attn.q_proj", queryRows, bias, layer.query);
    if (status.ok()) status = columnParallel(prefix + "self_attn.k_proj", keyRows, bias, layer.key);
    if (status.ok()) status = columnParallel(prefix + "self_attn.v_proj", keyRows, bias, layer.value);
    if (status.ok())
      status = rowParallel(prefix + "self_attn.o_proj", queryRows, part_.attentionSlices, config_.outputBias,
                           layer.output);
    if (status.ok())
      status = columnParallel(prefix + "mlp.gate_proj", config_.intermediateSize, config_.mlpBias, layer.gate);
    if (status.ok())
      status = columnParallel(prefix + "mlp.up_proj", config_.intermediateSize, config_.mlpBias, layer.up);
    if (status.ok())
      status = rowParallel(prefix + "mlp.down_proj", config_.intermediateSize, part_.mlpSlices, config_.mlpBias,
                           layer.down);
    return status;
  }

  Status head() {
    Status status = norm("model.norm.weight", out_.finalNorm);
    if (!status.ok()) return status;
    const bool separate =
        config_.head == ModelConfig::Head::Separate ||
        (config_.head == ModelConfig::Head::AsFilesSay && out_.store.find("lm_head.weight") != nullptr);
    StoredMatrix matrix;
    status = find(separate ? "lm_head" : "model.embed_tokens", config_.vocabSize, config_.hiddenSize, matrix);
    if (!status.ok()) return status;
    return pack(matrix, {.firstRow = part_.vocabFirst, .rows = part_.vocabRows, .columns = config_.hiddenSize},
                out_.head);
  }

  Status embedding() { return find("model.embed_tokens", config_.vocabSize, config_.hiddenSize, out_.embedding); }

 private:
  Status find(const std::string& name, int rows, int columns, StoredMatrix& out) {
    return findMatrix(out_.store, config_, name, rows, columns, out);
  }

  Status pack(const StoredMatrix& matrix, const MatrixSlice& slice, PackedMatrix& out) {
    Status status = packMatrix(matrix, slice, pool_, out);
    out_.bytes += out.bytes;
    return status;
  }

  Status vector(const std::string& name, int count, int first, int taken, std::vector<float>& out) {
    Status status = readVector(out_.store, name, count, first, taken, out);
    out_.bytes += out.size() * sizeof(float);
    return status;
  }

  Status norm(const std::string& name, std::vector<float>& out) {
    return vector(name, config_.hiddenSize, 0, config_.hiddenSize, out);
  }

  /// Split by output rows.
  Status columnParallel(const std::string& name, int rows, bool bias, Linear& out) {
    StoredMatrix matrix;
    const int taken = rows / part_.tensorSize, first = taken * part_.tensorRank;
    Status status = find(name, rows, config_.hiddenSize, matrix);
    if (status.ok())
      status = pack(matrix, {.firstRow = first, .rows = taken, .columns = config_.hiddenSize}, out.matrix);
    if (status.ok() && bias) status = vector(name + ".bias", rows, first, taken, out.bias);
    return status;
  }

  /// Split by input columns.
  Status rowParallel(const std::string& name, int columns, int slices, bool bias, Linear& out) {
    StoredMatrix matrix;
    const int taken = columns / part_.tensorSize;
    Status status = find(name, config_.hiddenSize, columns, matrix);
    const MatrixSlice slice{
        .rows = config_.hiddenSize, .firstColumn = taken * part_.tensorRank, .columns = taken, .slices = slices};
    if (status.ok()) status = pack(matrix, slice, out.matrix);
    if (status.ok() && bias) status = vector(name + ".bias", config_.hiddenSize, 0, config_.hiddenSize, out.bias);
    return status;
  }

  const ModelConfig& config_;
  const Partition& part_;
  ThreadPool& pool_;
  Weights& out_;
};

}  // namespace

Status loadWeights(const std::string& folder, const ModelConfig& config, const Shard& shard,
                   const Partition& partition, ThreadPool& pool, Weights& out) {
  Status status = TensorStore::open(folder, out.store);
  if (!status.ok()) return status;
  Loader loader(config, partition, pool, out);
  if (shard.stage == 0) status = loader.embedding();
  for (int index = shard.firstLayer; status.ok() && index < shard.endLayer; index++)
    status = loader.layer(index, out.layers.emplace_back());
  if (status.ok() && shard.stage == shard.stageCount - 1) status = loader.head();
  // Faults bring in neighbouring pages too, which the release of single tensors leaves behind.
  if (shard.stage == 0) out.store.releasePages();
  else out.store = TensorStore();
  return status;
}

}  // namespace espalier::engine
