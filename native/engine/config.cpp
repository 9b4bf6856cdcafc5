#include "engine/config.h"

#include <filesystem>
#include <limits>

#include "engine/json.h"
#include "engine/mapped_file.h"

namespace espalier::engine {
namespace {

/// Reads fields and keeps the first failure, so that a list of reads needs one check at its end.
class Reader {
 public:
  Reader(const Json& root, std::string path) : root_(root), path_(std::move(path)) {}

  Status status;

  void fail(const char* code, const std::string& what) {
    if (!status.ok()) return;
    status = Status::failure(code, path_ + ": " + what);
    status.file = path_;
  }
  void invalid(const std::string& what) { fail("ModelConfigInvalid", what); }
  void unsupported(const std::string& what) { fail("UnsupportedArchitecture", what); }

  /// Absent and null both mean "not given".
  static const Json* given(const Json* object, const char* key) {
    const Json* value = object == nullptr ? nullptr : object->find(key);
    return value == nullptr || value->isNull() ? nullptr : value;
  }
  const Json* given(const char* key) const { return given(&root_, key); }

  int positive(const char* key, int fallback = 0, int limit = 1 << 24) {
    const Json* value = given(key);
    if (value == nullptr && fallback > 0) return fallback;
    if (value == nullptr) return invalid(std::string(key) + ": expected a positive integer, it is not there"), 1;
    return integer(key, *value, limit);
  }
  int integer(const std::string& key, const Json& value, int limit) {
    if (value.isInteger && value.integer >= 1 && value.integer <= limit) return static_cast<int>(value.integer);
    invalid(key + ": expected an integer from 1 to " + std::to_string(limit) + ", got " + show(value));
    return 1;
  }
  double real(const Json* object, const char* key, double fallback) {
    const Json* value = given(object, key);
    if (value == nullptr && fallback > 0) return fallback;
    if (value != nullptr && value->kind == Json::Kind::Number && value->number > 0) return value->number;
    invalid(std::string(key) + ": expected a number above 0, got " + (value == nullptr ? "nothing" : show(*value)));
    return 1;
  }
  double real(const char* key, double fallback) { return real(&root_, key, fallback); }
  bool flag(const char* key, bool fallback) {
    const Json* value = given(key);
    if (value == nullptr) return fallback;
    if (value->kind != Json::Kind::Bool)
      invalid(std::string(key) + ": expected true or false, got " + show(*value));
    return value->boolean;
  }
  static std::string show(const Json& value) {
    switch (value.kind) {
      case Json::Kind::Null: return "null";
      case Json::Kind::Bool: return value.boolean ? "true" : "false";
      case Json::Kind::Number:
        return value.isInteger ? std::to_string(value.integer) : std::to_string(value.number);
      case Json::Kind::String: return std::string("\"").append(value.string, 0, 60).append("\"");
      case Json::Kind::Array: return "an array";
      default: return "an object";
    }
  }

 private:
  const Json& root_;
  std::string path_;
};

void readArchitecture(Reader& read, ModelConfig& out) {
  const Json* type = read.given("model_type");
  if (type == nullptr || !type->isString()) return read.invalid("model_type: expected a string");
  out.architecture = type->string;
  if (out.architecture != "llama" && out.architecture != "qwen2")
    return read.unsupported("model_type \"" + out.architecture.substr(0, 60) +
                            "\": the built-in engine knows llama and qwen2; choose another engine for this model");
  const Json* activation = read.given("hidden_act");
  if (activation != nullptr && (!activation->isString() || activation->string != "silu"))
    read.unsupported("hidden_act: expected \"silu\", got " + Reader::show(*activation));
  if (read.flag("use_sliding_window", false))
    read.unsupported("use_sliding_window: sliding-window attention is not available");
  if (read.flag("rope_traditional", false))
    read.unsupported("rope_traditional: interleaved rotary pairs are not available");
  const Json* layerTypes = read.given("layer_types");
  if (layerTypes == nullptr) return;
  for (const Json& layerType : layerTypes->items)
    if (layerType.string != "full_attention")
      read.unsupported("layer_types: expected \"full_attention\" only, got " + Reader::show(layerType));
}

void readSizes(Reader& read, ModelConfig& out) {
  out.hiddenSize = read.positive("hidden_size");
  out.intermediateSize = read.positive("intermediate_size");
  out.layers = read.positive("num_hidden_layers", 0, 4096);
  out.heads = read.positive("num_attention_heads", 0, 65536);
  out.kvHeads = read.positive("num_key_value_heads", out.heads, 65536);
  out.vocabSize = read.positive("vocab_size");
  out.maxPositions = read.positive("max_position_embeddings", 2048, std::numeric_limits<int>::max());
  out.normEpsilon = static_cast<float>(read.real("rms_norm_eps", 1e-5));
  const bool derived = read.given("head_dim") == nullptr;
  if (derived && out.hiddenSize % out.heads != 0)
    return read.invalid("hidden_size " + std::to_string(out.hiddenSize) +
                        " is no multiple of num_attention_heads " + std::to_string(out.heads) +
                        ", and head_dim is not given");
  out.headDim = derived ? out.hiddenSize / out.heads : read.positive("head_dim", 0, 4096);
  if (out.headDim % 2 != 0) read.invalid("head_dim: expected an even number, got " + std::to_string(out.headDim));
  if (out.heads % out.kvHeads != 0)
    read.invalid("num_attention_heads " + std::to_string(out.heads) + " is no multiple of num_key_value_heads " +
                 std::to_string(out.kvHeads));
  const bool llamaBias = out.architecture == "llama" && read.flag("attention_bias", false);
  out.queryKeyValueBias = out.architecture == "qwen2" || llamaBias;
  out.outputBias = llamaBias;
  out.mlpBias = read.flag("mlp_bias", false);
  if (read.given("tie_word_embeddings") != nullptr)
    out.head = read.flag("tie_word_embeddings", false) ? ModelConfig::Head::Tied : ModelConfig::Head::Separate;
}

void readRope(Reader& read, RopeConfig& out) {
  // "rope_parameters" is what Transformers 5 writes in place of rope_theta and rope_scaling.
  const Json* parameters = read.given("rope_parameters");
  const Json* scaling = parameters != nullptr ? parameters : read.given("rope_scaling");
  if (scaling != nullptr && !scaling->isObject())
    return read.invalid("rope_scaling: expected an object, got " + Reader::show(*scaling));
  out.theta = read.real("rope_theta", 10000.0);
  if (scaling == nullptr) return;
  out.theta = read.real(scaling, "rope_theta", out.theta);
  const Json* type = Reader::given(scaling, "rope_type");
  if (type == nullptr) type = Reader::given(scaling, "type");
  if (type == nullptr || !type->isString()) return read.invalid("rope_scaling: expected a rope_type");
  if (type->string == "default") return;
  if (type->string != "linear" && type->string != "llama3")
    return read.unsupported("rope_scaling: rope_type \"" + type->string.substr(0, 60) +
                            "\": expected default, linear or llama3");
  out.factor = read.real(scaling, "factor", 0);
  out.scaling = type->string == "linear" ? RopeScaling::Linear : RopeScaling::Llama3;
  if (out.scaling == RopeScaling::Linear) return;
  out.lowFrequencyFactor = read.real(scaling, "low_freq_factor", 1.0);
  out.highFrequencyFactor = read.real(scaling, "high_freq_factor", 4.0);
  out.originalMaxPositions = read.real(scaling, "original_max_position_embeddings", 8192);
  if (out.highFrequencyFactor <= out.lowFrequencyFactor)
    read.invalid("rope_scaling: expected high_freq_factor above low_freq_factor");
}

void readQuantization(Reader& read, ModelConfig& out) {
  const Json* quantization = read.given("quantization");
  if (quantization == nullptr) {
    // Transformers' own key: GPTQ, AWQ, FP8 and the like, whose tensors mean something else.
    if (read.given("quantization_config") != nullptr)
      read.unsupported("quantization_config without quantization: only MLX affine quantisation is available");
    return;
  }
  if (!quantization->isObject())
    return read.invalid("quantization: expected an object, got " + Reader::show(*quantization));
  for (const auto& [key, value] : quantization->members) {
    if (key == "mode" && value.string != "affine")
      return read.unsupported("quantization: mode " + Reader::show(value) + ": expected \"affine\"");
    if (key != "group_size" && key != "bits" && key != "mode")
      return read.unsupported("quantization: " + key.substr(0, 80) + ": settings per layer are not available");
  }
  const Json* groupSize = quantization->find("group_size");
  const Json* bits = quantization->find("bits");
  if (groupSize == nullptr || bits == nullptr) return read.invalid("quantization: expected group_size and bits");
  out.quantized = true;
  out.groupSize = read.integer("quantization.group_size", *groupSize, 1024);
  out.bits = read.integer("quantization.bits", *bits, 32);
  if (!read.status.ok()) return;
  if (out.groupSize != 32 && out.groupSize != 64 && out.groupSize != 128)
    return read.unsupported("quantization: group_size " + std::to_string(out.groupSize) +
                            ": expected 32, 64 or 128");
  if (out.bits != 4 && out.bits != 8)
    return read.unsupported("quantization: bits " + std::to_string(out.bits) + ": expected 4 or 8");
}

}  // namespace

Status readModelConfig(std::string_view text, const std::string& path, ModelConfig& out) {
  out = ModelConfig();
  Json root;
  std::string error;
  const bool parsed = Json::parse(text, root, error);
  Reader read(root, path);
  if (!parsed) read.invalid(error);
  else if (!root.isObject()) read.invalid("expected an object, got " + Reader::show(root));
  if (read.status.ok()) readArchitecture(read, out);
  if (read.status.ok()) readSizes(read, out);
  if (read.status.ok()) readRope(read, out.rope);
  if (read.status.ok()) readQuantization(read, out);
  return read.status;
}

Status loadModelConfig(const std::string& folder, ModelConfig& out) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    Status status = Status::failure(
        "ModelFolderMissing", folder + ": expected a folder with config.json and model.safetensors, there is none");
    status.file = folder;
    return status;
  }
  MappedFile file;
  Status status = MappedFile::open(folder + "/config.json", "ModelFolderMissing", file);
  if (!status.ok()) return status;
  return readModelConfig({reinterpret_cast<const char*>(file.data()), file.size()}, file.path(), out);
}

}  // namespace espalier::engine
