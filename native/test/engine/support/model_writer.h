#pragma once
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "engine/safetensors.h"

namespace espalier::test {

/// A small random model: what its files shall look like.
struct TinyModel {
  std::string architecture = "llama";
  engine::TensorType type = engine::TensorType::F32;  ///< of dense tensors, scales and biases
  int bits = 0;                                       ///< 0: dense
  int groupSize = 32;
  int hiddenSize = 128;
  int intermediateSize = 256;
  int layers = 3;
  int heads = 8;
  int kvHeads = 4;
  int headDim = 16;
  int vocabSize = 203;
  bool tied = true;
  bool attentionBias = false;  ///< llama: on q, k, v and o
  int files = 1;
  std::string ropeScaling = {};  ///< JSON, or empty
  uint32_t seed = 1;
};

/// The weights as numbers, and the folder that holds them as files.
struct WrittenModel {
  TinyModel shape;
  std::string folder;
  std::map<std::string, std::vector<double>> tensors;  ///< by name without ".weight"; biases with ".bias"
};

WrittenModel writeModel(const TinyModel& shape);

struct RawTensor {
  std::string type;
  std::vector<int64_t> shape;
  std::string data;
};
/// Writes one safetensors file.
void writeSafetensors(const std::string& path, const std::map<std::string, RawTensor>& tensors);
void writeText(const std::string& path, const std::string& text);
std::string readText(const std::string& path);

}  // namespace espalier::test
