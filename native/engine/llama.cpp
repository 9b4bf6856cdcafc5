#include "engine/llama.h"

#include <algorithm>
#include <exception>
#include <initializer_list>

namespace espalier::engine {
namespace {

// Longer batches run in pieces of this many tokens, so that the workspace has a fixed size.
constexpr int kMaxRows = 128;

void addBias(const std::vector<float>& bias, int rows, float* out) {
  if (bias.empty()) return;
  for (int row = 0; row < rows; row++, out += bias.size())
    for (size_t i = 0; i < bias.size(); i++) out[i] += bias[i];
}

}  // namespace

LlamaModel::LlamaModel(const ModelOptions& options, const Kernels& kernels)
    : options_(options), kernels_(kernels) {}

std::unique_ptr<LlamaModel> LlamaModel::load(const ModelOptions& options, const Kernels* kernels, Status& status) {
  std::unique_ptr<LlamaModel> model(new LlamaModel(options, kernels != nullptr ? *kernels : bestKernels()));
  try {
    status = model->prepare();
  } catch (const std::exception& error) {  // std::bad_alloc, or std::system_error when a thread cannot start
    status = Status::failure("OutOfMemory", std::string("cannot load the model: ") + error.what());
  }
  return status.ok() ? std::move(model) : nullptr;
}

Status LlamaModel::prepare() {
  if (options_.contextLength < 1 || options_.maxSequences < 1 || options_.threads < 1)
    return Status::failure("RequestInvalid",
                           "expected contextLength, maxSequences and threads of at least 1, got " +
                               std::to_string(options_.contextLength) + ", " +
                               std::to_string(options_.maxSequences) + " and " + std::to_string(options_.threads));
  pool_.emplace(options_.threads);
  Status status = loadModelConfig(options_.folder, config_);
  if (status.ok()) status = partitionModel(config_, options_.shard, part_);
  if (status.ok()) status = loadWeights(options_.folder, config_, options_.shard, part_, *pool_, weights_);
  if (status.ok()) status = allocateWorkspace();
  shape_ = {config_.architecture, config_.layers, config_.hiddenSize, config_.vocabSize, config_.maxPositions};
  return status;
}

Status LlamaModel::allocateWorkspace() {
  const AttentionShape shape{.layers = options_.shard.endLayer - options_.shard.firstLayer,
                             .heads = part_.heads,
                             .kvHeads = part_.kvHeads,
                             .headDim = config_.headDim,
                             .contextLength = options_.contextLength,
                             .maxSequences = options_.maxSequences};
  cacheBytes_ = Attention::bytes(shape, options_.threads);
  bool ok = Attention::create(shape, config_.rope, options_.threads, attention_);
  work_.rows = kMaxRows;
  work_.logitRows = std::min(kMaxRows, options_.maxSequences);
  const int queryColumns = part_.heads * config_.headDim, keyColumns = part_.kvHeads * config_.headDim;
  const auto rows = static_cast<size_t>(work_.rows),
             widest = static_cast<size_t>(std::max({config_.hiddenSize, queryColumns, part_.intermediate}));
  const auto reserve = [&](Pages& pages, size_t count, size_t bytes) {
    cacheBytes_ += count * bytes;
    ok = ok && Pages::allocate(count * bytes, pages);
  };
  const auto reserveRows = [&](Pages& pages, int columns) {
    reserve(pages, rows * static_cast<size_t>(columns), sizeof(float));
  };
  for (Pages* pages : {&work_.normed, &work_.partial, &work_.headRows}) reserveRows(*pages, config_.hiddenSize);
  for (Pages* pages : {&work_.query, &work_.attended}) reserveRows(*pages, queryColumns);
  for (Pages* pages : {&work_.key, &work_.value}) reserveRows(*pages, keyColumns);
  for (Pages* pages : {&work_.gate, &work_.up}) reserveRows(*pages, part_.intermediate);
  if (config_.quantized) {
    work_.groupStride = widest / static_cast<size_t>(config_.groupSize) + 1;
    reserve(work_.codes, rows * widest, sizeof(int16_t));
    for (Pages* pages : {&work_.scales, &work_.sums}) reserve(*pages, rows * work_.groupStride, sizeof(float));
  }
  if (options_.shard.stage == options_.shard.stageCount - 1 && part_.tensorSize > 1) {
    const auto logits = static_cast<size_t>(work_.logitRows) * static_cast<size_t>(part_.vocabStride);
    reserve(work_.logits, logits, sizeof(float));
    reserve(work_.gathered, logits * static_cast<size_t>(part_.tensorSize), sizeof(float));
  }
  if (ok) return Status::success();
  return Status::failure("OutOfMemory", "cannot allocate " + std::to_string(cacheBytes_) +
                                            " bytes of KV cache and workspace for contextLength " +
                                            std::to_string(options_.contextLength) + " and " +
                                            std::to_string(options_.maxSequences) + " sequences");
}

Status LlamaModel::checkRequest(std::span<const Segment> segments, std::span<float> hidden,
                                transport::Group* group) const {
  const auto invalid = [](const std::string& what) { return Status::failure("RequestInvalid", what); };
  size_t tokens = 0;
  for (const Segment& segment : segments) {
    tokens += segment.tokens.size();
    if (segment.slot < 0 || segment.slot >= options_.maxSequences)
      return invalid("expected a KV slot below " + std::to_string(options_.maxSequences) + ", got " +
                     std::to_string(segment.slot));
    if (segment.tokens.empty() || segment.firstPosition < 0 ||
        segment.tokens.size() >
            static_cast<size_t>(options_.contextLength - std::min(segment.firstPosition, options_.contextLength)))
      return invalid("expected 1 or more tokens that end within contextLength " +
                     std::to_string(options_.contextLength) + ", got " + std::to_string(segment.tokens.size()) +
                     " from position " + std::to_string(segment.firstPosition));
    for (const int32_t token : segment.tokens)
      if (token < 0 || token >= config_.vocabSize)
        return invalid("expected token ids below vocab_size " + std::to_string(config_.vocabSize) +
                       ", got one outside");
  }
  if (hidden.size() != tokens * static_cast<size_t>(config_.hiddenSize))
    return invalid("expected a hidden buffer of " + std::to_string(tokens) + " × " +
                   std::to_string(config_.hiddenSize) + " floats, got " + std::to_string(hidden.size()));
  const int groupSize = group == nullptr ? 1 : group->size();
  if (groupSize != part_.tensorSize || (group != nullptr && group->rank() != part_.tensorRank))
    return invalid("expected rank " + std::to_string(part_.tensorRank) + " of a tensor group of " +
                   std::to_string(part_.tensorSize) + ", got a group of " + std::to_string(groupSize));
  return Status::success();
}

Status LlamaModel::forward(std::span<const Segment> segments, std::span<float> hidden, std::vector<float>& logits,
                           transport::Group* tensorGroup) {
  Status status = checkRequest(segments, hidden, tensorGroup);
  if (!status.ok()) return status;
  rows_.clear();
  places_.clear();
  for (const Segment& segment : segments)
    for (size_t i = 0; i < segment.tokens.size(); i++) {
      rows_.push_back({segment.tokens[i], segment.needsLogits && i + 1 == segment.tokens.size()});
      places_.push_back({segment.slot, segment.firstPosition + static_cast<int>(i)});
    }
  if (options_.shard.stage == options_.shard.stageCount - 1) logits.clear();
  const auto rowFloats = static_cast<size_t>(config_.hiddenSize);
  for (size_t first = 0; status.ok() && first < rows_.size(); first += kMaxRows) {
    const size_t count = std::min<size_t>(kMaxRows, rows_.size() - first);
    status = runRows(first, count, hidden.data() + first * rowFloats, logits, tensorGroup);
  }
  return status;
}

Status LlamaModel::runRows(size_t first, size_t count, float* hidden, std::vector<float>& logits,
                           transport::Group* group) {
  const int rows = static_cast<int>(count);
  const auto rowFloats = static_cast<size_t>(config_.hiddenSize);
  if (options_.shard.stage == 0) embed(rows_.data() + first, rows, hidden);
  Status status;
  for (int layer = 0; status.ok() && layer < static_cast<int>(weights_.layers.size()); layer++)
    status = runLayer(layer, places_.data() + first, rows, hidden, group);
  if (!status.ok() || options_.shard.stage < options_.shard.stageCount - 1) return status;
  int wanted = 0;
  for (size_t row = 0; row < count; row++) {
    if (!rows_[first + row].needsLogits) continue;
    std::copy_n(hidden + row * rowFloats, rowFloats,
                work_.headRows.floats() + static_cast<size_t>(wanted++) * rowFloats);
  }
  for (int done = 0; status.ok() && done < wanted; done += work_.logitRows)
    status = runHead(work_.headRows.floats() + static_cast<size_t>(done) * rowFloats,
                     std::min(work_.logitRows, wanted - done), logits, group);
  return status;
}

void LlamaModel::embed(const Row* rows, int count, float* hidden) {
  for (int row = 0; row < count; row++)
    readRow(weights_.embedding, rows[row].token,
            hidden + static_cast<size_t>(row) * static_cast<size_t>(config_.hiddenSize));
}

Status LlamaModel::runLayer(int index, const CacheRow* places, int rows, float* hidden, transport::Group* group) {
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(index)];
  const int queryColumns = part_.heads * config_.headDim;
  const auto queryStride = static_cast<size_t>(queryColumns),
             keyStride = static_cast<size_t>(part_.kvHeads * config_.headDim);
  const auto mlpStride = static_cast<size_t>(part_.intermediate);
  float *query = work_.query.floats(), *key = work_.key.floats(), *value = work_.value.floats();
  float *gate = work_.gate.floats(), *up = work_.up.floats(), *partial = exchangeBuffer(group);

  multiply(normalize(hidden, layer.inputNorm, rows, work_.normed.floats()),
           {{&layer.query.matrix, query, queryStride},
            {&layer.key.matrix, key, keyStride},
            {&layer.value.matrix, value, keyStride}});
  addBias(layer.query.bias, rows, query);
  addBias(layer.key.bias, rows, key);
  addBias(layer.value.bias, rows, value);
  attention_.run(kernels_, *pool_, index, places, rows, query, key, value, work_.attended.floats());
  multiply(encode(work_.attended.floats(), queryColumns, rows),
           {{&layer.output.matrix, partial, static_cast<size_t>(config_.hiddenSize)}});
  Status status = addAcrossRanks(layer.output.bias, rows, hidden, group);
  if (!status.ok()) return status;

  multiply(normalize(hidden, layer.mlpNorm, rows, work_.normed.floats()),
           {{&layer.gate.matrix, gate, mlpStride}, {&layer.up.matrix, up, mlpStride}});
  addBias(layer.gate.bias, rows, gate);
  addBias(layer.up.bias, rows, up);
  pool_->run(rows, 1, [&](int begin, int end, int) {
    for (int row = begin; row < end; row++)
      kernels_.gate(gate + static_cast<size_t>(row) * mlpStride, up + static_cast<size_t>(row) * mlpStride,
                    part_.intermediate);
  });
  multiply(encode(gate, part_.intermediate, rows),
           {{&layer.down.matrix, partial, static_cast<size_t>(config_.hiddenSize)}});
  return addAcrossRanks(layer.down.bias, rows, hidden, group);
}

Activations LlamaModel::encode(const float* values, int columns, int rows) {
  const auto stride = static_cast<size_t>(columns);
  Activations out{.tokens = rows,
                  .values = values,
                  .valueStride = stride,
                  .codeStride = stride,
                  .groupStride = work_.groupStride};
  if (!config_.quantized || columns % config_.groupSize != 0) return out;
  auto* codes = reinterpret_cast<int16_t*>(work_.codes.data());
  float *scales = work_.scales.floats(), *sums = work_.sums.floats();
  pool_->run(rows, 1, [&](int begin, int end, int) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); row++)
      kernels_.encode(values + row * stride, columns, config_.bits, config_.groupSize, codes + row * stride,
                      scales + row * work_.groupStride, sums + row * work_.groupStride);
  });
  out.codes = codes;
  out.scales = scales;
  out.sums = sums;
  return out;
}

Activations LlamaModel::normalize(const float* values, const std::vector<float>& weight, int rows, float* out) {
  const auto stride = static_cast<size_t>(config_.hiddenSize);
  pool_->run(rows, 1, [&](int begin, int end, int) {
    for (auto row = static_cast<size_t>(begin); row < static_cast<size_t>(end); row++)
      kernels_.rmsNorm(values + row * stride, weight.data(), config_.hiddenSize, config_.normEpsilon,
                       out + row * stride);
  });
  return encode(out, config_.hiddenSize, rows);
}

void LlamaModel::multiply(const Activations& x, std::initializer_list<Product> products) {
  const auto blocksOf = [](const Product& product) {
    return (product.matrix->view.rows + kBlockRows - 1) / kBlockRows;
  };
  int total = 0;
  for (const Product& product : products) total += blocksOf(product);
  // A few chunks per thread: a thread that loses its core for a while does not hold up the others for long.
  const int grain = std::max(1, total / (pool_->threads() * 6));
  pool_->run(total, grain, [&](int begin, int end, int) {
    int first = 0;
    for (const Product& product : products) {
      const int blocks = blocksOf(product);
      const int from = std::max(begin - first, 0), to = std::min(end - first, blocks);
      if (from < to) kernels_.multiply(product.matrix->view, x, from, to, product.out, product.outStride);
      first += blocks;
    }
  });
}

float* LlamaModel::exchangeBuffer(transport::Group* group) {
  if (group == nullptr || part_.tensorSize == 1) return work_.partial.floats();
  if (group != exchangeGroup_) {
    exchangeGroup_ = group;
    exchange_ = static_cast<float*>(group->allocate(work_.partial.size()));
  }
  return exchange_ != nullptr ? exchange_ : work_.partial.floats();
}

Status LlamaModel::addAcrossRanks(const std::vector<float>& bias, int rows, float* hidden,
                                  transport::Group* group) {
  float* partial = exchangeBuffer(group);
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(config_.hiddenSize);
  if (part_.tensorSize > 1) {
    Status status =
        group->allReduce(partial, partial, count, transport::DataType::Float32, transport::ReduceOp::Sum);
    if (!status.ok()) return status;
  }
  addBias(bias, rows, partial);
  for (size_t i = 0; i < count; i++) hidden[i] += partial[i];
  return Status::success();
}

Status LlamaModel::runHead(const float* rows, int count, std::vector<float>& logits, transport::Group* group) {
  const auto vocab = static_cast<size_t>(config_.vocabSize), stride = static_cast<size_t>(part_.vocabStride);
  const size_t done = logits.size();
  logits.resize(done + static_cast<size_t>(count) * vocab);
  const Activations x = normalize(rows, weights_.finalNorm, count, work_.normed.floats());
  if (part_.tensorSize == 1) {
    multiply(x, {{&weights_.head, logits.data() + done, vocab}});
    return Status::success();
  }
  multiply(x, {{&weights_.head, work_.logits.floats(), stride}});
  const size_t perRank = static_cast<size_t>(count) * stride;
  Status status =
      group->allGather(work_.logits.data(), work_.gathered.data(), perRank, transport::DataType::Float32);
  if (!status.ok()) return status;
  for (size_t row = 0; row < static_cast<size_t>(count); row++)
    for (size_t first = 0, rank = 0; first < vocab; first += stride, rank++)
      std::copy_n(work_.gathered.floats() + rank * perRank + row * stride, std::min(stride, vocab - first),
                  logits.data() + done + row * vocab + first);
  return status;
}

}  // namespace espalier::engine
