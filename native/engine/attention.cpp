#include "engine/attention.h"

#include <cmath>
#include <utility>

namespace espalier::engine {
namespace {

constexpr size_t kLanes = kBlockRows;

size_t roundUp(int count) { return (static_cast<size_t>(count) + kLanes - 1) / kLanes * kLanes; }

struct Sizes {
  size_t keyFloats, valueFloats, scoreFloats, heads;
};

Sizes sizesOf(const AttentionShape& shape) {
  const size_t context = roundUp(shape.contextLength);
  return {.keyFloats = context * static_cast<size_t>(shape.headDim),
          .valueFloats = context * roundUp(shape.headDim),
          .scoreFloats = context * static_cast<size_t>(shape.heads / shape.kvHeads),
          .heads = static_cast<size_t>(shape.maxSequences) * static_cast<size_t>(shape.layers) *
                   static_cast<size_t>(shape.kvHeads)};
}

}  // namespace

uint64_t Attention::bytes(const AttentionShape& shape, int threads) {
  const Sizes sizes = sizesOf(shape);
  return sizeof(float) *
         (sizes.heads * (sizes.keyFloats + sizes.valueFloats) + static_cast<size_t>(threads) * sizes.scoreFloats);
}

bool Attention::create(const AttentionShape& shape, const RopeConfig& rope, int threads, Attention& out) {
  const Sizes sizes = sizesOf(shape);
  Attention made;
  if (!Pages::allocate(sizes.heads * sizes.keyFloats * sizeof(float), made.keys_)) return false;
  if (!Pages::allocate(sizes.heads * sizes.valueFloats * sizeof(float), made.values_)) return false;
  if (!Pages::allocate(static_cast<size_t>(threads) * sizes.scoreFloats * sizeof(float), made.scores_))
    return false;
  made.shape_ = shape;
  made.rope_ = Rope(rope, shape.headDim, shape.contextLength);
  made.keyFloats_ = sizes.keyFloats;
  made.valueFloats_ = sizes.valueFloats;
  made.scoreFloats_ = sizes.scoreFloats;
  made.scale_ = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.headDim)));
  out = std::move(made);
  return true;
}

void Attention::run(const Kernels& kernels, ThreadPool& pool, int layer, const CacheRow* rows, int count,
                    float* query, float* key, const float* value, float* out) {
  const int kvHeads = shape_.kvHeads, group = shape_.heads / kvHeads;
  const auto headDim = static_cast<size_t>(shape_.headDim);
  const auto offset = [&](int row, int head, int heads) {
    return (static_cast<size_t>(row) * heads + head) * headDim;
  };
  // A token may attend to others of its batch, so all are stored first.
  for (int row = 0; row < count; row++)
    for (int head = 0; head < kvHeads; head++)
      storeRow(layer, head, rows[row], key + offset(row, head, kvHeads), value + offset(row, head, kvHeads));
  pool.run(count * kvHeads, 1, [&](int begin, int end, int thread) {
    float* scores = scores_.floats() + static_cast<size_t>(thread) * scoreFloats_;
    for (int unit = begin; unit < end; unit++) {
      const int row = unit / kvHeads, head = unit % kvHeads;
      const size_t at = offset(row, head * group, shape_.heads);
      attend(kernels, layer, head, rows[row], query + at, scores, out + at);
    }
  });
}

size_t Attention::headOffset(int slot, int layer, int kvHead, size_t perHead) const {
  return ((static_cast<size_t>(slot) * static_cast<size_t>(shape_.layers) + static_cast<size_t>(layer)) *
              static_cast<size_t>(shape_.kvHeads) +
          static_cast<size_t>(kvHead)) *
         perHead;
}

void Attention::storeRow(int layer, int kvHead, const CacheRow& row, float* key, const float* value) {
  const auto headDim = static_cast<size_t>(shape_.headDim), position = static_cast<size_t>(row.position);
  const size_t context = roundUp(shape_.contextLength);
  rope_.apply(key, row.position);
  float* keys = keys_.floats() + headOffset(row.slot, layer, kvHead, keyFloats_) +
                position / kLanes * kLanes * headDim + position % kLanes;
  for (size_t i = 0; i < headDim; i++) keys[i * kLanes] = key[i];
  float* values = values_.floats() + headOffset(row.slot, layer, kvHead, valueFloats_) + position * kLanes;
  for (size_t i = 0; i < headDim; i++) values[i / kLanes * context * kLanes + i % kLanes] = value[i];
}

void Attention::attend(const Kernels& kernels, int layer, int kvHead, const CacheRow& row, float* query,
                       float* scores, float* out) const {
  const int group = shape_.heads / shape_.kvHeads, positions = row.position + 1, headDim = shape_.headDim;
  const size_t context = roundUp(shape_.contextLength);
  for (int head = 0; head < group; head++) rope_.apply(query + head * headDim, row.position);
  MatrixView keys{
      .rows = positions, .columns = headDim, .blockStride = static_cast<size_t>(headDim) * kLanes * sizeof(float)};
  keys.data = reinterpret_cast<const uint8_t*>(keys_.floats() + headOffset(row.slot, layer, kvHead, keyFloats_));
  const Activations queries{.tokens = group, .values = query, .valueStride = static_cast<size_t>(headDim)};
  kernels.multiply(keys, queries, 0, (positions + kBlockRows - 1) / kBlockRows, scores, context);
  for (int head = 0; head < group; head++)
    kernels.softmax(scores + static_cast<size_t>(head) * context, positions, scale_);
  MatrixView values{.rows = headDim, .columns = positions, .blockStride = context * kLanes * sizeof(float)};
  values.data =
      reinterpret_cast<const uint8_t*>(values_.floats() + headOffset(row.slot, layer, kvHead, valueFloats_));
  const Activations weights{.tokens = group, .values = scores, .valueStride = context};
  kernels.multiply(values, weights, 0, (headDim + kBlockRows - 1) / kBlockRows, out, static_cast<size_t>(headDim));
}

}  // namespace espalier::engine
