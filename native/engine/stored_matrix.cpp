#include "engine/number_formats.h"
#include "engine/packed_matrix.h"

namespace espalier::engine {
namespace {

std::string showShape(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); i++) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Status findTensor(const TensorStore& store, const std::string& name, const TensorView*& out) {
  out = store.find(name);
  if (out != nullptr) return Status::success();
  Status status = Status::failure("TensorMissing",
                                  store.expectedFile(name) + ": expected tensor " + name + ", it is not there");
  status.file = store.expectedFile(name);
  return status;
}

Status checkTensor(const TensorView& tensor, const std::vector<int64_t>& shape, bool codes) {
  const bool isFloat =
      tensor.type == TensorType::F32 || tensor.type == TensorType::F16 || tensor.type == TensorType::BF16;
  const bool typed = codes ? tensor.type == TensorType::U32 : isFloat;
  if (typed && tensor.shape == shape) return Status::success();
  Status status =
      Status::failure("TensorShapeMismatch", tensor.file + ": tensor " + tensor.name + ": expected " +
                                                 (codes ? "U32" : "F32, F16 or BF16") + " " + showShape(shape) +
                                                 ", got " + tensor.typeName + " " + showShape(tensor.shape));
  status.file = tensor.file;
  return status;
}

Status findChecked(const TensorStore& store, const std::string& name, const std::vector<int64_t>& shape, bool codes,
                   const TensorView*& out) {
  Status status = findTensor(store, name, out);
  return status.ok() ? checkTensor(*out, shape, codes) : status;
}

float element(const TensorView& tensor, size_t index) {
  if (tensor.type == TensorType::F16) return halfToFloat(loadUnaligned<uint16_t>(tensor.data + 2 * index));
  if (tensor.type == TensorType::BF16) return bfloat16ToFloat(loadUnaligned<uint16_t>(tensor.data + 2 * index));
  return loadUnaligned<float>(tensor.data + 4 * index);
}

}  // namespace

Status findMatrix(const TensorStore& store, const ModelConfig& config, const std::string& name, int rows,
                  int columns, StoredMatrix& out) {
  out = StoredMatrix{.rows = rows, .columns = columns};
  // MLX's rule: a layer is quantised when its scales are there.
  if (!config.quantized || store.find(name + ".scales") == nullptr)
    return findChecked(store, name + ".weight", {rows, columns}, false, out.weight);
  out.bits = config.bits;
  out.groupSize = config.groupSize;
  if (columns % config.groupSize != 0) {
    Status status =
        Status::failure("TensorShapeMismatch",
                        store.expectedFile(name + ".weight") + ": " + name + ": its " + std::to_string(columns) +
                            " columns are no multiple of group_size " + std::to_string(config.groupSize));
    status.file = store.expectedFile(name + ".weight");
    return status;
  }
  const std::vector<int64_t> groups = {rows, columns / config.groupSize};
  Status status = findChecked(store, name + ".weight", {rows, columns * config.bits / 32}, true, out.weight);
  if (status.ok()) status = findChecked(store, name + ".scales", groups, false, out.scales);
  if (status.ok()) status = findChecked(store, name + ".biases", groups, false, out.biases);
  if (status.ok() && out.biases->type != out.scales->type) {
    status = Status::failure("TensorShapeMismatch", out.biases->file + ": tensor " + out.biases->name +
                                                        ": expected " + out.scales->typeName +
                                                        " like its scales, got " + out.biases->typeName);
    status.file = out.biases->file;
  }
  return status;
}

Status readVector(const TensorStore& store, const std::string& name, int count, int first, int taken,
                  std::vector<float>& out) {
  const TensorView* tensor = nullptr;
  Status status = findChecked(store, name, {count}, false, tensor);
  if (!status.ok()) return status;
  out.resize(static_cast<size_t>(taken));
  for (int i = 0; i < taken; i++) out[static_cast<size_t>(i)] = element(*tensor, static_cast<size_t>(first + i));
  return status;
}

void readRow(const StoredMatrix& matrix, int row, float* out) {
  const auto columns = static_cast<size_t>(matrix.columns), begin = static_cast<size_t>(row) * columns;
  if (matrix.scales == nullptr) {
    for (size_t i = 0; i < columns; i++) out[i] = element(*matrix.weight, begin + i);
    return;
  }
  const auto bits = static_cast<unsigned>(matrix.bits), perWord = 32 / bits;
  const auto groupSize = static_cast<size_t>(matrix.groupSize);
  for (size_t i = 0; i < columns; i++) {
    const auto word = loadUnaligned<uint32_t>(matrix.weight->data + (begin + i) / perWord * 4);
    const uint32_t code = word >> (i % perWord * bits) & ((1U << bits) - 1);
    const size_t group = (begin + i) / groupSize;
    out[i] =
        __builtin_fmaf(static_cast<float>(code), element(*matrix.scales, group), element(*matrix.biases, group));
  }
}

}  // namespace espalier::engine
