#include "addon/model_check.h"

#include <string>
#include <utility>

#include "addon/engine_options.h"
#include "engine/config.h"
#include "engine/safetensors.h"

namespace espalier::addon {
namespace {

class ModelCheck final : public Napi::AsyncWorker {
 public:
  ModelCheck(Napi::Env env, std::string folder)
      : Napi::AsyncWorker(env, "espalier-check-model"), deferred_(env), folder_(std::move(folder)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    status_ = engine::loadModelConfig(folder_, config_);
    if (!status_.ok()) return;
    engine::TensorStore store;
    status_ = engine::TensorStore::open(folder_, store);
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.ok()) return deferred_.Reject(errorObject(Env(), status_));
    Napi::Object facts = Napi::Object::New(Env());
    facts.Set("architecture", config_.architecture);
    facts.Set("vocabSize", config_.vocabSize);
    facts.Set("maxPositions", config_.maxPositions);
    deferred_.Resolve(facts);
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::string folder_;
  engine::ModelConfig config_;
  Status status_;
};

}  // namespace

Napi::Value checkModel(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) {
    Napi::TypeError::New(env, "Expected checkModel(folder).").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto* check = new ModelCheck(env, info[0].As<Napi::String>().Utf8Value());  // Deletes itself when done.
  const Napi::Promise promise = check->promise();
  check->Queue();
  return promise;
}

}  // namespace espalier::addon
