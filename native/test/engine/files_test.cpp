// Broken model folders: each gives a Status that names the file and what is wrong, and nothing crashes.
#include <filesystem>
#include <functional>
#include <random>

#include "engine/json.h"
#include "support/model_writer.h"
#include "support/test.h"
#include "engine/model.h"

namespace {

using namespace espalier;
namespace fs = std::filesystem;

Status load(const std::string& folder, engine::Shard shard = {}) {
  if (shard.endLayer == 0) shard.endLayer = 3;
  engine::ModelOptions options;
  options.folder = folder;
  options.shard = shard;
  options.contextLength = 32;
  Status status;
  const auto model = engine::Model::load(options, status);
  CHECK(status.ok() == (model != nullptr));
  return status;
}

void replace(const std::string& path, const std::string& from, const std::string& to) {
  std::string text = test::readText(path);
  const size_t at = text.find(from);
  CHECK(at != std::string::npos);
  if (at != std::string::npos) test::writeText(path, text.replace(at, from.size(), to));
}

struct Breakage {
  const char* code;
  const char* says;  // part of the message
  std::function<void(const std::string& folder)> breakIt;
};

/// Changes config.json. The result must keep its meaning as JSON or not, as the case needs.
Breakage config(const char* code, const char* says, const char* from, const char* to) {
  return {code, says, [=](const std::string& folder) { replace(folder + "/config.json", from, to); }};
}
/// Changes the header of model.safetensors without changing its length.
Breakage header(const char* code, const char* says, const char* from, const char* to) {
  return {code, says, [=](const std::string& folder) {
            CHECK_EQUAL(std::string(from).size(), std::string(to).size());
            replace(folder + "/model.safetensors", from, to);
          }};
}
Breakage truncated(const char* says, double share) {
  return {"ModelFileTruncated", says, [=](const std::string& folder) {
            const std::string path = folder + "/model.safetensors";
            fs::resize_file(path, static_cast<uintmax_t>(static_cast<double>(fs::file_size(path)) * share));
          }};
}
Breakage index(const char* code, const char* says, const std::string& text) {
  return {code, says,
          [=](const std::string& folder) { test::writeText(folder + "/model.safetensors.index.json", text); }};
}

const std::vector<Breakage>& breakages() {
  static const std::vector<Breakage> all = {
      {"ModelFolderMissing", "there is none", [](const std::string& folder) { fs::remove_all(folder); }},
      {"ModelFolderMissing", "config.json", [](const std::string& folder) { fs::remove(folder + "/config.json"); }},
      {"ModelFileMissing", "expected model.safetensors",
       [](const std::string& folder) { fs::remove(folder + "/model.safetensors"); }},
      config("ModelConfigInvalid", "expected ',' or '}'", "}", ""),
      config("ModelConfigInvalid", "at byte", "128", "12e"),
      config("ModelConfigInvalid", "duplicate", "\"head_dim\"", "\"hidden_size\""),
      config("ModelConfigInvalid", "model_type", "model_type", "model_kind"),
      config("UnsupportedArchitecture", "mixtral", "llama", "mixtral"),
      config("UnsupportedArchitecture", "hidden_act", "silu", "gelu"),
      config("ModelConfigInvalid", "hidden_size: expected an integer", "128", "\"128\""),
      config("ModelConfigInvalid", "hidden_size: expected an integer", "128", "-128"),
      config("ModelConfigInvalid", "hidden_size: expected an integer", "128", "99999999999999999999"),
      config("ModelConfigInvalid", "vocab_size", "vocab_size", "vocab"),
      config("ModelConfigInvalid", "no multiple of num_key_value_heads", "\"num_key_value_heads\": 4",
             "\"num_key_value_heads\": 3"),
      config("ModelConfigInvalid", "even number", "\"head_dim\": 16", "\"head_dim\": 17"),
      config("ModelConfigInvalid", "no multiple of num_attention_heads 7",
             "\"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"head_dim\": 16",
             "\"num_attention_heads\": 7, \"num_key_value_heads\": 7"),
      config("ModelConfigInvalid", "tie_word_embeddings", "\"tie_word_embeddings\": true",
             "\"tie_word_embeddings\": 1"),
      config("ModelConfigInvalid", "rope_theta", "10000.0", "-1"),
      config("ModelConfigInvalid", "rope_type", "}", ", \"rope_scaling\": {\"factor\": 2}}"),
      config("UnsupportedArchitecture", "yarn", "}",
             ", \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 2}}"),
      config("ModelConfigInvalid", "factor", "}", ", \"rope_scaling\": {\"rope_type\": \"linear\"}}"),
      config("UnsupportedArchitecture", "quantization_config", "}",
             ", \"quantization_config\": {\"quant_method\": \"gptq\"}}"),
      config("UnsupportedArchitecture", "group_size 16", "}",
             ", \"quantization\": {\"group_size\": 16, \"bits\": 4}}"),
      config("UnsupportedArchitecture", "bits 3", "}", ", \"quantization\": {\"group_size\": 32, \"bits\": 3}}"),
      config("UnsupportedArchitecture", "settings per layer", "}",
             ", \"quantization\": {\"group_size\": 32, \"bits\": 4, \"lm_head\": {\"bits\": 8}}}"),
      config("UnsupportedArchitecture", "mode", "}",
             ", \"quantization\": {\"group_size\": 32, \"bits\": 4, \"mode\": \"mxfp4\"}}"),
      config("ModelConfigInvalid", "group_size and bits", "}", ", \"quantization\": {\"bits\": 4}}"),
      config("TensorShapeMismatch", "expected F32, F16 or BF16 [128, 128], got F32 [256, 128]",
             "\"hidden_size\": 128, \"intermediate_size\": 256",
             "\"hidden_size\": 128, \"intermediate_size\": 128"),
      config("TensorMissing", "lm_head.weight", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"),
      config("TensorMissing", "self_attn.q_proj.bias", "llama", "qwen2"),
      config("RequestInvalid", "a model of 2 layers", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 2"),
      truncated("tensor", 0.9),
      truncated("header ends at byte", 0.001),
      {"ModelFileTruncated", "at least 8 bytes",
       [](const std::string& folder) { test::writeText(folder + "/model.safetensors", "abc"); }},
      {"ModelFileTruncated", "the file has 0",
       [](const std::string& folder) { test::writeText(folder + "/model.safetensors", ""); }},
      {"SafetensorsInvalid", "no safetensors file",
       [](const std::string& folder) { test::writeText(folder + "/model.safetensors", "<!DOCTYPE html>"); }},
      {"ModelFileMissing", "regular file",
       [](const std::string& folder) {
         fs::remove(folder + "/model.safetensors"), fs::create_directory(folder + "/model.safetensors");
       }},
      header("SafetensorsInvalid", "header: expected", "{\"__", "[\"__"),
      header("SafetensorsInvalid", "unknown dtype \"X32\"", "F32", "X32"),
      header("TensorShapeMismatch", "got I32", "F32", "I32"),
      header("SafetensorsInvalid", "the shape needs", "\"shape\": [203, 128]", "\"shape\": [204, 128]"),
      header("SafetensorsInvalid", "shape of non-negative", "\"shape\": [203, 128]", "\"shape\": [-20, 128]"),
      header("SafetensorsInvalid", "shape of non-negative", "\"shape\": [203, 128]", "\"shape\": [203, 1.8]"),
      header("SafetensorsInvalid", "begin <= end", "\"data_offsets\": [0, ", "\"data_offsets\": [-1,"),
      header("TensorMissing", "model.embed_tokens.weight", "model.embed_tokens.weight",
             "model.embed_tokens.height"),
      index("ModelFileMissing", "index.json names it",
            R"({"weight_map": {"a": "model-00001-of-00002.safetensors"}})"),
      index("SafetensorsInvalid", "expected a weight_map", "{}"),
      index("SafetensorsInvalid", "expected a weight_map", R"({"weight_map": []})"),
      index("SafetensorsInvalid", "same folder", R"({"weight_map": {"a": "../model.safetensors"}})"),
      index("SafetensorsInvalid", "same folder", R"({"weight_map": {"a": 7}})"),
      index("SafetensorsInvalid", "at byte", "{\"weight_map\": "),
  };
  return all;
}

TEST("files: each broken folder is refused for its own reason") {
  for (const Breakage& breakage : breakages()) {
    const test::WrittenModel model = test::writeModel({});
    breakage.breakIt(model.folder);
    const Status status = load(model.folder);
    CHECK_EQUAL(status.code, breakage.code);
    CHECK(status.message.find(breakage.says) != std::string::npos);
    if (status.message.find(breakage.says) == std::string::npos)
      std::printf("     expected \"%s\" in: %s\n", breakage.says, status.message.c_str());
    CHECK(status.file.starts_with(model.folder) || status.code == "RequestInvalid");
  }
}

TEST("files: shards that do not divide are refused with the numbers") {
  const test::WrittenModel model =
      test::writeModel({.bits = 4, .groupSize = 64, .hiddenSize = 256, .intermediateSize = 192, .headDim = 32});
  const auto refused = [&](int tensorSize, const char* says) {
    const Status status = load(model.folder, {.tensorSize = tensorSize});
    CHECK_EQUAL(status.code, "IndivisibleShard");
    CHECK(status.message.find(says) != std::string::npos);
  };
  refused(3, "num_attention_heads (8)");
  refused(8, "num_key_value_heads (4)");
  refused(2, "intermediate_size 192");
  CHECK_EQUAL(load(model.folder, {.tensorRank = 1}).code, "RequestInvalid");
  CHECK_EQUAL(load(model.folder, {.stage = 1, .stageCount = 2, .firstLayer = 2, .endLayer = 2}).code,
              "RequestInvalid");
}

TEST("files: memory that cannot be had is named in bytes") {
  const test::WrittenModel model = test::writeModel({});
  engine::ModelOptions options;
  options.folder = model.folder;
  options.shard.endLayer = 3;
  options.contextLength = 1 << 20;
  options.maxSequences = 1 << 22;
  Status status;
  CHECK(engine::Model::load(options, status) == nullptr);
  CHECK_EQUAL(status.code, "OutOfMemory");
}

TEST("files: flipped bytes never crash") {
  const test::WrittenModel model = test::writeModel({.bits = 4,
                                                     .hiddenSize = 32,
                                                     .intermediateSize = 32,
                                                     .layers = 1,
                                                     .heads = 2,
                                                     .kvHeads = 1,
                                                     .headDim = 16,
                                                     .vocabSize = 5,
                                                     .files = 2});
  std::mt19937 random(11);
  for (const char* name : {"config.json", "model.safetensors.index.json", "model-1.safetensors"}) {
    const std::string path = model.folder + "/" + name, good = test::readText(path);
    // Within the header: the data may hold any bytes.
    const size_t reach = std::min<size_t>(good.size(), 1500);
    for (int round = 0; round < 400; round++) {
      std::string bad = good;
      for (uint32_t flips = 1 + random() % 3; flips > 0; flips--)
        bad[random() % reach] ^= static_cast<char>(1U << random() % 8);
      if (round % 7 == 0) bad.resize(random() % bad.size());
      test::writeText(path, bad);
      const Status status = load(model.folder, {.endLayer = 1});
      CHECK(status.ok() || !status.message.empty());
    }
    test::writeText(path, good);
  }
  CHECK_EQUAL(load(model.folder, {.endLayer = 1}).message, "");
}

}  // namespace
