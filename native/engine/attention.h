#pragma once
#include "engine/kernels.h"
#include "engine/memory.h"
#include "engine/rope.h"
#include "engine/thread_pool.h"

namespace espalier::engine {

struct AttentionShape {
  int layers = 0;   ///< of this stage
  int heads = 0;    ///< of this rank
  int kvHeads = 0;  ///< of this rank
  int headDim = 0;
  int contextLength = 0;
  int maxSequences = 0;
};

/// One token's place in the cache.
struct CacheRow {
  int slot = 0;
  int position = 0;
};

/// Keys and values of this rank's heads in f32, and attention over them. Resident memory follows use.
///
/// Both caches are kept as the matrices that the kernels multiply, [slot][layer][kv head] of:
///   keys [position / 16][headDim][16]: the scores of a query are a product over rows = positions;
///   values [headDim / 16][position][16]: the output is a product over rows = elements of the head.
class Attention {
 public:
  /// False when the system refuses the memory.
  static bool create(const AttentionShape& shape, const RopeConfig& rope, int threads, Attention& out);
  static uint64_t bytes(const AttentionShape& shape, int threads);

  /// For each row: rotates and stores its key and value, then attends from its queries to all positions
  /// up to its own. query [row][heads × headDim] is rotated in place; key, value [row][kvHeads × headDim].
  void run(const Kernels& kernels, ThreadPool& pool, int layer, const CacheRow* rows, int count, float* query,
           float* key, const float* value, float* out);

 private:
  size_t headOffset(int slot, int layer, int kvHead, size_t perHead) const;
  void storeRow(int layer, int kvHead, const CacheRow& row, float* key, const float* value);
  void attend(const Kernels& kernels, int layer, int kvHead, const CacheRow& row, float* query, float* scores,
              float* out) const;

  AttentionShape shape_;
  Rope rope_;
  Pages keys_, values_, scores_;
  size_t keyFloats_ = 0;  // of one head of one layer of one slot
  size_t valueFloats_ = 0;
  size_t scoreFloats_ = 0;  // of one thread
  float scale_ = 1;
};

}  // namespace espalier::engine
