#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "status.h"

namespace espalier::engine {

enum class RopeScaling : uint8_t { None, Linear, Llama3 };

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::None;
  double factor = 1.0;
  double lowFrequencyFactor = 1.0;     ///< llama3
  double highFrequencyFactor = 4.0;    ///< llama3
  double originalMaxPositions = 8192;  ///< llama3
};

/// What config.json says of a Llama-family model, checked and with its defaults filled in.
struct ModelConfig {
  std::string architecture;  ///< "llama", "qwen2"
  int hiddenSize = 0;
  int intermediateSize = 0;
  int layers = 0;
  int heads = 0;
  int kvHeads = 0;
  int headDim = 0;
  int vocabSize = 0;
  int maxPositions = 0;
  float normEpsilon = 1e-5F;
  bool queryKeyValueBias = false;
  bool outputBias = false;
  bool mlpBias = false;
  enum class Head : uint8_t { Tied, Separate, AsFilesSay } head = Head::AsFilesSay;
  RopeConfig rope;
  bool quantized = false;  ///< tensors that have .scales beside them are affine-quantised
  int groupSize = 0;
  int bits = 0;
};

/// Reads the text of config.json. `path` only names the file in errors: ModelConfigInvalid,
/// UnsupportedArchitecture.
Status readModelConfig(std::string_view text, const std::string& path, ModelConfig& out);
/// Same, from the folder; ModelFolderMissing when the folder or its config.json is absent.
Status loadModelConfig(const std::string& folder, ModelConfig& out);

}  // namespace espalier::engine
