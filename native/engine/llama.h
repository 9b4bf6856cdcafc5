#pragma once
#include <optional>

#include "engine/attention.h"
#include "engine/config.h"
#include "engine/model.h"
#include "engine/weights.h"

namespace espalier::engine {

/// Buffers for one pass over at most `rows` tokens.
struct Workspace {
  int rows = 0;
  int logitRows = 0;
  Pages normed, query, key, value, attended, gate, up, partial, headRows, logits, gathered;
  Pages codes, scales, sums;
  size_t groupStride = 0;  // floats from one token's scales to the next
  uint64_t bytes = 0;
};

class LlamaModel final : public Model {
 public:
  /// `kernels` null: the best for this processor.
  static std::unique_ptr<LlamaModel> load(const ModelOptions& options, const Kernels* kernels, Status& status);

  const ModelShape& shape() const override { return shape_; }
  uint64_t shardBytes() const override { return weights_.bytes; }
  uint64_t cacheBytes() const override { return cacheBytes_; }
  Status forward(std::span<const Segment> segments, std::span<float> hidden, std::vector<float>& logits,
                 transport::Group* tensorGroup) override;

 private:
  struct Row {
    int32_t token;
    bool needsLogits;
  };
  struct Product {
    const PackedMatrix* matrix;
    float* out;
    size_t outStride;
  };

  LlamaModel(const ModelOptions& options, const Kernels& kernels);
  Status prepare();
  Status allocateWorkspace();
  Status checkRequest(std::span<const Segment> segments, std::span<float> hidden, transport::Group* group) const;
  Status runRows(size_t first, size_t count, float* hidden, std::vector<float>& logits, transport::Group* group);
  Status runLayer(int index, const CacheRow* places, int rows, float* hidden, transport::Group* group);
  Status runHead(const float* rows, int count, std::vector<float>& logits, transport::Group* group);
  void embed(const Row* rows, int count, float* hidden);
  Activations encode(const float* values, int columns, int rows);
  Activations normalize(const float* values, const std::vector<float>& weight, int rows, float* out);
  void multiply(const Activations& x, std::initializer_list<Product> products);
  /// hidden += sum over ranks of partial + bias.
  Status addAcrossRanks(const std::vector<float>& bias, int rows, float* hidden, transport::Group* group);
  float* exchangeBuffer(transport::Group* group);

  ModelOptions options_;
  ModelConfig config_;
  ModelShape shape_;
  Partition part_;
  const Kernels& kernels_;
  std::optional<ThreadPool> pool_;
  Weights weights_;
  Attention attention_;
  Workspace work_;
  uint64_t cacheBytes_ = 0;
  std::vector<Row> rows_;
  std::vector<CacheRow> places_;
  transport::Group* exchangeGroup_ = nullptr;
  float* exchange_ = nullptr;
};

}  // namespace espalier::engine
