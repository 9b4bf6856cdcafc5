#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/mapped_file.h"
#include "status.h"

namespace espalier::engine {

enum class TensorType : uint8_t { F32, F16, BF16, U32, Other };

/// Where a tensor lies in a mapped file. `data` need not be aligned.
struct TensorView {
  std::string name;
  std::string file;
  std::string typeName;  ///< as the file writes it, e.g. "BF16"
  TensorType type = TensorType::Other;
  std::vector<int64_t> shape;
  const uint8_t* data = nullptr;
  size_t bytes = 0;
};

/// The tensors of a model folder: the files that model.safetensors.index.json names, or else all that match
/// model*.safetensors. Every header is checked; every view lies inside its file.
class TensorStore {
 public:
  static Status open(const std::string& folder, TensorStore& out);
  /// Null when the model has no such tensor.
  const TensorView* find(const std::string& name) const;
  /// Gives all resident pages of the files back to the page cache; views stay valid.
  void releasePages() const;
  /// The file that ought to hold the tensor: what the index says, else the only file, else the folder.
  std::string expectedFile(const std::string& name) const;

 private:
  Status openFile(const std::string& path, const char* missingCode);

  std::string folder_;
  std::vector<MappedFile> files_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::string> indexed_;  // tensor name to file name
};

/// Reads the header of one safetensors file.
Status readSafetensors(const MappedFile& file, std::vector<TensorView>& out);

}  // namespace espalier::engine
