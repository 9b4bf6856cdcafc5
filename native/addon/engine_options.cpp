#include "addon/engine_options.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace espalier::addon {
namespace {

/// Reads typed fields of one object; the first wrong one leaves a pending TypeError, later ones are skipped.
class FieldReader {
 public:
  explicit FieldReader(const Napi::Object& object) : object_(object) {}

  bool ok() const { return ok_; }

  void text(const char* name, std::string& out) {
    const Napi::Value value = get(name);
    if (!ok_) return;
    if (!value.IsString()) return fail(name, "a string");
    out = value.As<Napi::String>().Utf8Value();
  }

  template <typename Integer>
  void integer(const char* name, Integer& out) {
    const Napi::Value value = get(name);
    if (!ok_) return;
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
    constexpr double kMostExact = 9007199254740991.0;
    constexpr double kMost = std::min(kMostExact, static_cast<double>(std::numeric_limits<Integer>::max()));
    if (!(std::floor(number) == number) || number < 0 || number > kMost) {
      return fail(name, "a non-negative integer of at most " + std::to_string(static_cast<uint64_t>(kMost)));
    }
    out = static_cast<Integer>(number);
  }

  void number(const char* name, float& out) {
    const Napi::Value value = get(name);
    if (!ok_) return;
    if (!value.IsNumber()) return fail(name, "a number");
    out = value.As<Napi::Number>().FloatValue();
  }

  void unsigned64(const char* name, uint64_t& out) {
    const Napi::Value value = get(name);
    if (!ok_) return;
    bool lossless = false;
    if (value.IsBigInt()) out = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (!lossless) fail(name, "a bigint of at most 64 bits, not negative");
  }

  void tokens(const char* name, std::vector<int32_t>& out) {
    const Napi::Value value = get(name);
    if (!ok_) return;
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
      return fail(name, "an Int32Array");
    }
    const auto array = value.As<Napi::Int32Array>();
    out.assign(array.Data(), array.Data() + array.ElementLength());
  }

  Napi::Object object(const char* name) {
    const Napi::Value value = get(name);
    if (ok_ && value.IsObject()) return value.As<Napi::Object>();
    if (ok_) fail(name, "an object");
    return Napi::Object::New(object_.Env());
  }

 private:
  Napi::Value get(const char* name) {
    Napi::Value value = object_.Get(name);
    if (object_.Env().IsExceptionPending()) ok_ = false;
    return value;
  }

  void fail(const char* name, const std::string& expected) {
    ok_ = false;
    Napi::TypeError::New(object_.Env(), std::string("Expected `") + name + "` to be " + expected + ".")
        .ThrowAsJavaScriptException();
  }

  Napi::Object object_;
  bool ok_ = true;
};

bool readLinks(const Napi::Object& group, std::vector<transport::LinkKind>& links) {
  const Napi::Value value = group.Get("links");
  if (!value.IsArray()) {
    Napi::TypeError::New(group.Env(), "Expected `links` to be an array.").ThrowAsJavaScriptException();
    return false;
  }
  links.clear();
  const auto array = value.As<Napi::Array>();
  for (uint32_t index = 0; index < array.Length(); ++index) {
    const std::string kind = array.Get(index).ToString().Utf8Value();
    if (kind == "shm") {
      links.push_back(transport::LinkKind::SharedMemory);
    } else if (kind == "tcp") {
      links.push_back(transport::LinkKind::Tcp);
    } else {
      Napi::TypeError::New(group.Env(), "Expected a link of kind 'shm' or 'tcp', got '" + kind + "'.")
          .ThrowAsJavaScriptException();
      return false;
    }
  }
  return true;
}

bool readGroup(const Napi::Object& value, transport::GroupOptions& group) {
  FieldReader fields(value);
  fields.integer("rank", group.rank);
  fields.integer("size", group.size);
  fields.text("rendezvousHost", group.rendezvousHost);
  fields.integer("rendezvousPort", group.rendezvousPort);
  fields.text("dataHost", group.dataHost);
  fields.text("secret", group.secret);
  fields.integer("epoch", group.epoch);
  fields.text("hostId", group.hostId);
  fields.integer("rendezvousTimeoutMs", group.rendezvousTimeoutMs);
  fields.integer("operationTimeoutMs", group.operationTimeoutMs);
  return fields.ok() && readLinks(value, group.links);
}

bool readModel(const Napi::Object& value, engine::ModelOptions& model) {
  FieldReader fields(value);
  fields.text("folder", model.folder);
  fields.integer("contextLength", model.contextLength);
  fields.integer("maxSequences", model.maxSequences);
  fields.integer("threads", model.threads);
  FieldReader shard(fields.object("shard"));
  if (!fields.ok()) return false;
  shard.integer("tensorRank", model.shard.tensorRank);
  shard.integer("tensorSize", model.shard.tensorSize);
  shard.integer("stage", model.shard.stage);
  shard.integer("stageCount", model.shard.stageCount);
  shard.integer("firstLayer", model.shard.firstLayer);
  shard.integer("endLayer", model.shard.endLayer);
  return shard.ok();
}

}  // namespace

bool readEngineOptions(const Napi::Object& value, engine::EngineOptions& options) {
  FieldReader fields(value);
  const Napi::Object group = fields.object("group");
  const Napi::Object model = fields.object("model");
  fields.integer("maxWaiting", options.maxWaiting);
  return fields.ok() && readGroup(group, options.group) && readModel(model, options.model);
}

bool readRequest(const Napi::Object& value, engine::GenerationRequest& request) {
  FieldReader fields(value);
  fields.tokens("promptTokens", request.promptTokens);
  fields.tokens("stopTokenIds", request.stopTokenIds);
  fields.integer("maxTokens", request.maxTokens);
  fields.number("temperature", request.sampling.temperature);
  fields.number("topP", request.sampling.topP);
  fields.unsigned64("seed", request.sampling.seed);
  return fields.ok();
}

Napi::Object errorObject(Napi::Env env, const Status& status) {
  Napi::Object error = Napi::Error::New(env, status.message).Value();
  error.Set("code", status.code);
  if (status.rank >= 0) error.Set("rank", status.rank);
  if (!status.link.empty()) error.Set("link", status.link);
  if (!status.file.empty()) error.Set("file", status.file);
  return error;
}

}  // namespace espalier::addon
