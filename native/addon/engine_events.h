#pragma once
#include <napi.h>

#include <cstdint>
#include <vector>

#include "engine/engine.h"
#include "status.h"

namespace espalier::addon {

/// One call of an EngineListener, on its way to JavaScript's thread.
struct EngineEvent {
  enum class Kind : uint8_t { Listening, Phase, Tokens, End };
  Kind kind = Kind::End;
  uint16_t port = 0;
  engine::EnginePhase phase = engine::EnginePhase::Rendezvous;
  std::vector<engine::TokenEvent> tokens;
  Status status;
};

/// The event as in NativeEngineEvent of src/transport/types.ts.
Napi::Object eventObject(Napi::Env env, const EngineEvent& event);
Napi::Object statsObject(Napi::Env env, const engine::EngineStats& stats);

}  // namespace espalier::addon
