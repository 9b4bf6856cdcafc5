#include <napi.h>

#include "addon/engine_object.h"
#include "addon/model_check.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", espalier::addon::EngineObject::define(env));
  exports.Set("checkModel", Napi::Function::New(env, espalier::addon::checkModel, "checkModel"));
  return exports;
}

}  // namespace

NODE_API_MODULE(espalier, initialise)
