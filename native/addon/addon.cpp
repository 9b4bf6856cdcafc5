#include <napi.h>

#include "addon/engine_object.h"

namespace {

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("Engine", espalier::addon::EngineObject::define(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(espalier, initialise)
