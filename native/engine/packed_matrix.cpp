#include "engine/packed_matrix.h"

#include <algorithm>
#include <cstring>

namespace espalier::engine {
namespace {

constexpr size_t kReleaseBytes = size_t{4} << 20;

WeightFormat denseFormat(const TensorView& tensor) {
  if (tensor.type == TensorType::F16) return WeightFormat::F16;
  return tensor.type == TensorType::BF16 ? WeightFormat::BF16 : WeightFormat::F32;
}

size_t elementBytes(WeightFormat format) { return format == WeightFormat::F32 ? 4 : 2; }

/// Where one row of a tensor that is sliced begins, and how far apart rows are.
struct Source {
  const uint8_t* data;
  size_t rowBytes;
};

/// Interleaves `count` items of `bytes` from up to sixteen rows: to[item][16].
void interleave(const Source& source, int firstRow, int rows, size_t firstItem, size_t count, size_t bytes,
                uint8_t* to) {
  for (int row = 0; row < rows; row++) {
    const uint8_t* from = source.data + static_cast<size_t>(firstRow + row) * source.rowBytes + firstItem * bytes;
    uint8_t* lane = to + static_cast<size_t>(row) * bytes;
    const size_t step = kBlockRows * bytes;
    if (bytes == 4)
      for (size_t i = 0; i < count; i++) std::memcpy(lane + i * step, from + i * 4, 4);
    else
      for (size_t i = 0; i < count; i++) std::memcpy(lane + i * step, from + i * 2, 2);
  }
}

struct Plan {
  Source weight, scales, biases;
  size_t firstItem = 0;      // of the weight: columns, or words when quantised
  size_t itemsPerGroup = 0;  // quantised only
  size_t firstGroup = 0;
  size_t groups = 0;
};

Plan planPacking(const StoredMatrix& matrix, const MatrixSlice& slice) {
  const auto rowBytes = [&](const TensorView* tensor) {
    return Source{tensor == nullptr ? nullptr : tensor->data,
                  tensor == nullptr ? 0 : tensor->bytes / static_cast<size_t>(matrix.rows)};
  };
  Plan plan{
      .weight = rowBytes(matrix.weight), .scales = rowBytes(matrix.scales), .biases = rowBytes(matrix.biases)};
  plan.firstItem = static_cast<size_t>(slice.firstColumn);
  if (matrix.scales == nullptr) return plan;
  plan.firstItem = static_cast<size_t>(slice.firstColumn) * static_cast<size_t>(matrix.bits) / 32;
  plan.itemsPerGroup = static_cast<size_t>(matrix.groupSize * matrix.bits / 32);
  plan.firstGroup = static_cast<size_t>(slice.firstColumn / matrix.groupSize);
  plan.groups = static_cast<size_t>(slice.columns / matrix.groupSize);
  return plan;
}

void packBlock(const Plan& plan, const MatrixView& view, const MatrixSlice& slice, int block, uint8_t* to) {
  const int firstRow = slice.firstRow + block * kBlockRows;
  const int rows = std::min(kBlockRows, view.rows - block * kBlockRows);
  if (view.groupSize == 0)
    return interleave(plan.weight, firstRow, rows, plan.firstItem, static_cast<size_t>(view.columns),
                      elementBytes(view.format), to);
  const size_t scaleBytes = elementBytes(view.scaleFormat);
  for (size_t group = 0; group < plan.groups; group++) {
    interleave(plan.weight, firstRow, rows, plan.firstItem + group * plan.itemsPerGroup, plan.itemsPerGroup, 4, to);
    to += plan.itemsPerGroup * 4 * kBlockRows;
    interleave(plan.scales, firstRow, rows, plan.firstGroup + group, 1, scaleBytes, to);
    to += scaleBytes * kBlockRows;
    interleave(plan.biases, firstRow, rows, plan.firstGroup + group, 1, scaleBytes, to);
    to += scaleBytes * kBlockRows;
  }
}

MatrixView shapeView(const StoredMatrix& matrix, const MatrixSlice& slice) {
  MatrixView view{
      .rows = slice.rows, .columns = slice.columns, .groupSize = matrix.groupSize, .slices = slice.slices};
  if (matrix.scales == nullptr) {
    view.format = denseFormat(*matrix.weight);
    view.blockStride = static_cast<size_t>(slice.columns) * kBlockRows * elementBytes(view.format);
    return view;
  }
  view.format = matrix.bits == 4 ? WeightFormat::Q4 : WeightFormat::Q8;
  view.scaleFormat = denseFormat(*matrix.scales);
  const auto groups = static_cast<size_t>(slice.columns / matrix.groupSize);
  const size_t rowBytes =
      static_cast<size_t>(slice.columns * matrix.bits / 8) + groups * 2 * elementBytes(view.scaleFormat);
  view.blockStride = rowBytes * kBlockRows;
  return view;
}

}  // namespace

Status packMatrix(const StoredMatrix& matrix, const MatrixSlice& slice, ThreadPool& pool, PackedMatrix& out) {
  MatrixView view = shapeView(matrix, slice);
  const int blocks = (slice.rows + kBlockRows - 1) / kBlockRows;
  const size_t bytes = static_cast<size_t>(blocks) * view.blockStride;
  if (!Pages::allocate(bytes, out.pages)) {
    Status status = Status::failure(
        "OutOfMemory", "cannot allocate " + std::to_string(bytes) + " bytes for tensor " + matrix.weight->name);
    status.file = matrix.weight->file;
    return status;
  }
  out.pages.useHugePages();
  const Plan plan = planPacking(matrix, slice);
  // Pages of the file are let go as soon as they are copied, so that a load needs little more than the shard.
  const int grain = static_cast<int>(kReleaseBytes / (plan.weight.rowBytes * kBlockRows)) + 1;
  pool.run(blocks, std::min(grain, blocks / pool.threads() + 1), [&](int begin, int end, int) {
    for (int first = begin; first < end; first += grain) {
      const int last = std::min(first + grain, end);
      for (int block = first; block < last; block++)
        packBlock(plan, view, slice, block, out.pages.data() + static_cast<size_t>(block) * view.blockStride);
      const auto row = static_cast<size_t>(slice.firstRow + first * kBlockRows);
      const auto rows = static_cast<size_t>(std::min(last * kBlockRows, slice.rows) - first * kBlockRows);
      MappedFile::release(plan.weight.data + row * plan.weight.rowBytes, rows * plan.weight.rowBytes);
    }
  });
  for (const TensorView* tensor : {matrix.scales, matrix.biases})
    if (tensor != nullptr) MappedFile::release(tensor->data, tensor->bytes);
  view.data = out.pages.data();
  out.view = view;
  out.bytes = view.blockStride / kBlockRows * static_cast<size_t>(slice.rows);
  return Status::success();
}

}  // namespace espalier::engine
