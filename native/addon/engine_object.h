#pragma once
#include <napi.h>

#include <memory>

#include "addon/engine_session.h"

namespace espalier::addon {

/// class Engine of the addon; its TypeScript face is NativeEngine in src/transport/types.ts.
class EngineObject final : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value submit(const Napi::CallbackInfo& info);
  void cancel(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  void stop(const Napi::CallbackInfo& info);
  void abort(const Napi::CallbackInfo& info);

  /// Null once the engine has ended.
  std::shared_ptr<EngineSession> session_;
  engine::EngineStats lastStats_;
  uint32_t nextHandle_ = 1;
};

}  // namespace espalier::addon
