#pragma once
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/kernels.h"
#include "engine/memory.h"
#include "engine/safetensors.h"
#include "engine/thread_pool.h"

namespace espalier::engine {

/// One Linear's weight as the files hold it: dense, or affine codes with scales and biases.
struct StoredMatrix {
  const TensorView* weight = nullptr;
  const TensorView* scales = nullptr;  ///< null when dense
  const TensorView* biases = nullptr;
  int rows = 0;
  int columns = 0;
  int bits = 0;
  int groupSize = 0;
};

/// Finds `name`.weight (with .scales and .biases when the model is quantised) and checks types and shapes.
/// TensorMissing, TensorShapeMismatch.
Status findMatrix(const TensorStore& store, const ModelConfig& config, const std::string& name, int rows,
                  int columns, StoredMatrix& out);
/// Finds a vector of `count` f32, f16 or bf16 elements and widens [first, first + taken) to f32.
Status readVector(const TensorStore& store, const std::string& name, int count, int first, int taken,
                  std::vector<float>& out);
/// One row as f32; used for embeddings, straight from the mapped file.
void readRow(const StoredMatrix& matrix, int row, float* out);

/// A slice of a matrix that one rank holds, in the layout of the kernels.
struct PackedMatrix {
  MatrixView view;
  Pages pages;
  uint64_t bytes = 0;  ///< of the slice itself, without the padding of the last block
};

/// What to cut out of a stored matrix: rows and columns (columns in whole quantisation groups).
struct MatrixSlice {
  int firstRow = 0;
  int rows = 0;
  int firstColumn = 0;
  int columns = 0;
  int slices = 1;  ///< see MatrixView::slices
};

/// Copies the slice and lets go of the file's pages. OutOfMemory.
Status packMatrix(const StoredMatrix& matrix, const MatrixSlice& slice, ThreadPool& pool, PackedMatrix& out);

}  // namespace espalier::engine
