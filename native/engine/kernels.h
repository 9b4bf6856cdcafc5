#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace espalier::engine {

/// How the elements of a packed matrix are stored. Q4 and Q8 are MLX's affine codes: w = code × scale + bias.
enum class WeightFormat : uint8_t { F32, F16, BF16, Q4, Q8 };

constexpr int kBlockRows = 16;

/// A matrix in blocks of 16 rows, one row per SIMD lane, so that a row's sum needs no horizontal step and
/// comes out the same on every instruction set. A block holds, for each column (dense) or each
/// quantisation group, what its 16 rows have there:
///   dense: [column][16] elements;
///   quantised: [group]{[word][16] uint32 of packed codes, [16] scales, [16] biases}.
/// The last block is padded with zero rows.
struct MatrixView {
  WeightFormat format = WeightFormat::F32;
  WeightFormat scaleFormat = WeightFormat::F32;  ///< of scales and biases: F32, F16 or BF16
  int rows = 0;
  int columns = 0;
  int groupSize = 0;  ///< columns that share a scale; 0 when dense
  int slices =
      1;  ///< power of two ≤ 8: the columns are summed in this many equal slices, joined in a balanced tree
  const uint8_t* data = nullptr;
  size_t blockStride = 0;  ///< bytes from one block to the next
};

/// The right-hand side: `tokens` vectors. Dense matrices read `values`. Quantised ones read `codes`: each
/// group of a vector as 16-bit integers times a scale (made by Kernels::encode), so that the products
/// inside a group are summed exactly.
struct Activations {
  int tokens = 0;
  const float* values = nullptr;
  size_t valueStride = 0;
  const int16_t* codes = nullptr;
  size_t codeStride = 0;
  const float* scales = nullptr;  ///< [token][group]
  const float* sums = nullptr;    ///< [token][group] scale × sum of the group's codes
  size_t groupStride = 0;
};

/// The inner loops for one instruction set. Every function gives the same bits in every set, and a token's
/// result does not depend on the tokens beside it.
struct Kernels {
  const char* name;
  /// out[token × outStride + row] for the rows of blocks [firstBlock, endBlock).
  void (*multiply)(const MatrixView& matrix, const Activations& x, int firstBlock, int endBlock, float* out,
                   size_t outStride);
  /// Quantises one vector for matrices of `bits` (4 or 8) and `groupSize`. The error of an element is at
  /// most 1/65534 of the largest magnitude in its group (bf16 rounds that largest element by up to 1/512).
  /// A group with a value that is not finite gets a NaN scale, so that the fault shows in the output.
  void (*encode)(const float* x, int columns, int bits, int groupSize, int16_t* codes, float* scales, float* sums);
  /// out = x / sqrt(mean(x²) + epsilon) × weight.
  void (*rmsNorm)(const float* x, const float* weight, int count, float epsilon, float* out);
  /// gate = silu(gate) × up.
  void (*gate)(float* gate, const float* up, int count);
  /// scores = softmax(scores × scale).
  void (*softmax)(float* scores, int count, float scale);
};

/// The best set for this processor, chosen once per call by asking the processor.
const Kernels& bestKernels();
/// All sets that this processor can run, the scalar reference first.
std::vector<const Kernels*> availableKernels();

}  // namespace espalier::engine
