#include "support/model_writer.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "engine/number_formats.h"
#include "support/test.h"

namespace espalier::test {
namespace {

using engine::TensorType;

/// The nearest half, by looking: slow and plain. Values are within the range of a half.
uint16_t toHalf(float value) {
  const float magnitude = std::fabs(value);
  uint16_t low = 0, high = 0x7BFF;
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (engine::halfToFloat(middle) <= magnitude ? low : high) = middle;
  }
  const bool up = engine::halfToFloat(high) - magnitude < magnitude - engine::halfToFloat(low);
  return static_cast<uint16_t>((up ? high : low) | (value < 0 ? 0x8000 : 0));
}

/// Appends the value in a format, and says what it became.
double append(std::string& data, TensorType type, double value) {
  const auto put = [&](const auto& raw) { data.append(reinterpret_cast<const char*>(&raw), sizeof(raw)); };
  const auto single = static_cast<float>(value);
  uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof(bits));
  if (type == TensorType::F32) return put(single), single;
  if (type == TensorType::BF16) {
    const auto half = static_cast<uint16_t>((bits + 0x8000U) >> 16);
    return put(half), engine::bfloat16ToFloat(half);
  }
  const uint16_t half = toHalf(single);
  return put(half), engine::halfToFloat(half);
}

const char* typeName(TensorType type) {
  return type == TensorType::F32 ? "F32" : type == TensorType::F16 ? "F16" : "BF16";
}

class Writer {
 public:
  explicit Writer(const TinyModel& shape) : shape_(shape), random_(shape.seed) {
    out_.shape = shape;
    out_.folder = temporaryFolder();
  }

  WrittenModel write() {
    const int queryRows = shape_.heads * shape_.headDim, keyRows = shape_.kvHeads * shape_.headDim;
    const bool qwen = shape_.architecture == "qwen2";
    matrix("model.embed_tokens", shape_.vocabSize, shape_.hiddenSize, 0.5);
    for (int index = 0; index < shape_.layers; index++) {
      const std::string prefix = "model.layers." + std::to_string(index) + ".";
      vector(prefix + "input_layernorm", shape_.hiddenSize, 1, ".weight");
      vector(prefix + "post_attention_layernorm", shape_.hiddenSize, 1, ".weight");
      linear(prefix + "self_attn.q_proj", queryRows, shape_.hiddenSize, qwen || shape_.attentionBias);
      linear(prefix + "self_attn.k_proj", keyRows, shape_.hiddenSize, qwen || shape_.attentionBias);
      linear(prefix + "self_attn.v_proj", keyRows, shape_.hiddenSize, qwen || shape_.attentionBias);
      linear(prefix + "self_attn.o_proj", shape_.hiddenSize, queryRows, shape_.attentionBias);
      linear(prefix + "mlp.gate_proj", shape_.intermediateSize, shape_.hiddenSize, false);
      linear(prefix + "mlp.up_proj", shape_.intermediateSize, shape_.hiddenSize, false);
      linear(prefix + "mlp.down_proj", shape_.hiddenSize, shape_.intermediateSize, false);
    }
    vector("model.norm", shape_.hiddenSize, 1, ".weight");
    if (!shape_.tied) matrix("lm_head", shape_.vocabSize, shape_.hiddenSize, 0.5);
    writeText(out_.folder + "/config.json", config());
    writeFiles();
    return out_;
  }

 private:
  double uniform(double from, double to) { return std::uniform_real_distribution<double>(from, to)(random_); }

  void linear(const std::string& name, int rows, int columns, bool bias) {
    matrix(name, rows, columns, 1.5 / std::sqrt(columns));
    if (bias) vector(name + ".bias", rows, 0.1, "");
  }

  void vector(const std::string& name, int count, double magnitude, const char* suffix) {
    RawTensor raw{typeName(shape_.type), {count}, ""};
    for (int i = 0; i < count; i++)
      out_.tensors[name].push_back(
          append(raw.data, shape_.type, uniform(-magnitude, magnitude) + (magnitude == 1 ? 1 : 0)));
    raw_[name + suffix] = raw;
  }

  void matrix(const std::string& name, int rows, int columns, double magnitude) {
    std::vector<double>& values = out_.tensors[name];
    if (shape_.bits == 0) {
      RawTensor raw{typeName(shape_.type), {rows, columns}, ""};
      for (int i = 0; i < rows * columns; i++)
        values.push_back(append(raw.data, shape_.type, uniform(-magnitude, magnitude)));
      raw_[name + ".weight"] = raw;
      return;
    }
    const int perWord = 32 / shape_.bits, groups = columns / shape_.groupSize;
    RawTensor words{"U32", {rows, columns / perWord}, ""}, scales{typeName(shape_.type), {rows, groups}, ""},
        biases = scales;
    std::vector<double> scale, bias;
    for (int i = 0; i < rows * groups; i++) {
      const double step = uniform(0.5, 1) * 2 * magnitude / ((1 << shape_.bits) - 1);
      scale.push_back(append(scales.data, shape_.type, step));
      bias.push_back(append(biases.data, shape_.type, -step * ((1 << shape_.bits) - 1) / 2));
    }
    for (int i = 0; i < rows * columns / perWord; i++) {
      const uint32_t word = static_cast<uint32_t>(random_());
      words.data.append(reinterpret_cast<const char*>(&word), sizeof(word));
      for (int code = 0; code < perWord; code++) {
        const auto group = static_cast<size_t>((i * perWord + code) / shape_.groupSize);
        values.push_back(scale[group] * (word >> (code * shape_.bits) & ((1U << shape_.bits) - 1)) + bias[group]);
      }
    }
    raw_[name + ".weight"] = words;
    raw_[name + ".scales"] = scales;
    raw_[name + ".biases"] = biases;
  }

  std::string config() const {
    std::ostringstream text;
    text << "{\"model_type\": \"" << shape_.architecture << "\", \"hidden_size\": " << shape_.hiddenSize
         << ", \"intermediate_size\": " << shape_.intermediateSize << ", \"num_hidden_layers\": " << shape_.layers
         << ", \"num_attention_heads\": " << shape_.heads << ", \"num_key_value_heads\": " << shape_.kvHeads
         << ", \"head_dim\": " << shape_.headDim << ", \"vocab_size\": " << shape_.vocabSize
         << ", \"max_position_embeddings\": 512, \"rope_theta\": 10000.0, \"rms_norm_eps\": 1e-5, \"hidden_act\": "
            "\"silu\""
         << ", \"attention_bias\": " << (shape_.attentionBias ? "true" : "false")
         << ", \"tie_word_embeddings\": " << (shape_.tied ? "true" : "false");
    if (!shape_.ropeScaling.empty()) text << ", \"rope_scaling\": " << shape_.ropeScaling;
    if (shape_.bits > 0)
      text << ", \"quantization\": {\"group_size\": " << shape_.groupSize << ", \"bits\": " << shape_.bits << "}";
    text << "}";
    return text.str();
  }

  void writeFiles() {
    if (shape_.files == 1) return writeSafetensors(out_.folder + "/model.safetensors", raw_);
    std::vector<std::map<std::string, RawTensor>> parts(static_cast<size_t>(shape_.files));
    std::string index = "{\"metadata\": {\"total_size\": 0}, \"weight_map\": {";
    size_t count = 0;
    const auto fileName = [](size_t part) { return "model-" + std::to_string(part + 1) + ".safetensors"; };
    for (const auto& [name, raw] : raw_) {
      const size_t part = count++ % parts.size();
      parts[part][name] = raw;
      index += (count > 1 ? ", \"" : "\"") + name + "\": \"" + fileName(part) + "\"";
    }
    for (size_t part = 0; part < parts.size(); part++)
      writeSafetensors(out_.folder + "/" + fileName(part), parts[part]);
    writeText(out_.folder + "/model.safetensors.index.json", index + "}}");
  }

  TinyModel shape_;
  std::mt19937 random_;
  WrittenModel out_;
  std::map<std::string, RawTensor> raw_;
};

}  // namespace

WrittenModel writeModel(const TinyModel& shape) { return Writer(shape).write(); }

void writeSafetensors(const std::string& path, const std::map<std::string, RawTensor>& tensors) {
  std::string header = "{\"__metadata__\": {\"format\": \"mlx\"}", data;
  for (const auto& [name, tensor] : tensors) {
    header += ", \"" + name + "\": {\"dtype\": \"" + tensor.type + "\", \"shape\": [";
    for (size_t i = 0; i < tensor.shape.size(); i++)
      header += (i > 0 ? ", " : "") + std::to_string(tensor.shape[i]);
    header += "], \"data_offsets\": [" + std::to_string(data.size()) + ", " +
              std::to_string(data.size() + tensor.data.size()) + "]}";
    data += tensor.data;
  }
  header += "}";
  const uint64_t headerBytes = header.size();
  writeText(path, std::string(reinterpret_cast<const char*>(&headerBytes), sizeof(headerBytes)) + header + data);
}

void writeText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file.write(text.data(), static_cast<std::streamsize>(text.size()));
}

std::string readText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace espalier::test
