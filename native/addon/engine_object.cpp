#include "addon/engine_object.h"

#include <string>
#include <utility>

#include "addon/engine_options.h"

namespace espalier::addon {

Napi::Function EngineObject::define(Napi::Env env) {
  return DefineClass(env, "Engine",
                     {
                         InstanceMethod("submit", &EngineObject::submit),
                         InstanceMethod("cancel", &EngineObject::cancel),
                         InstanceMethod("stats", &EngineObject::stats),
                         InstanceMethod("stop", &EngineObject::stop),
                         InstanceMethod("abort", &EngineObject::abort),
                     });
}

EngineObject::EngineObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineObject>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject() || !info[1].IsFunction()) {
    Napi::TypeError::New(env, "Expected new Engine(options, onEvent).").ThrowAsJavaScriptException();
    return;
  }
  engine::EngineOptions options;
  if (!readEngineOptions(info[0].As<Napi::Object>(), options)) return;
  Ref();  // Not collected while the engine runs.
  session_ = EngineSession::start(env, std::move(options), info[1].As<Napi::Function>(), [this] {
    session_.reset();
    Unref();
  });
}

Napi::Value EngineObject::submit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    Napi::TypeError::New(env, "Expected submit(request).").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  engine::GenerationRequest request;
  if (!readRequest(info[0].As<Napi::Object>(), request)) return env.Undefined();
  const uint32_t handle = nextHandle_++ & 0x7FFFFFFFU;
  request.id = handle;
  const Status status = session_ ? session_->engine().submit(std::move(request))
                                 : Status::failure("EngineNotReady", "The engine has ended.");
  if (!status.ok()) {
    Napi::Error(env, errorObject(env, status)).ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Number::New(env, handle);
}

void EngineObject::cancel(const Napi::CallbackInfo& info) {
  if (session_ && info[0].IsNumber()) session_->engine().cancel(info[0].As<Napi::Number>().Uint32Value());
}

Napi::Value EngineObject::stats(const Napi::CallbackInfo& info) {
  if (session_) lastStats_ = session_->engine().stats();
  return statsObject(info.Env(), lastStats_);
}

void EngineObject::stop(const Napi::CallbackInfo& info) {
  if (session_) session_->engine().requestStop();
}

void EngineObject::abort(const Napi::CallbackInfo& info) {
  if (session_) session_->engine().abort(info[0].ToString().Utf8Value());
}

}  // namespace espalier::addon
