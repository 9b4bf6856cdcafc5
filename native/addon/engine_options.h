#pragma once
#include <napi.h>

#include "engine/engine.h"
#include "status.h"

namespace espalier::addon {

/// Reads the options of src/transport/types.ts. A wrong field leaves a pending TypeError and returns false.
bool readEngineOptions(const Napi::Object& value, engine::EngineOptions& options);
bool readRequest(const Napi::Object& value, engine::GenerationRequest& request);

/// Error object with the fields of `status`: code, message, rank, link, file.
Napi::Object errorObject(Napi::Env env, const Status& status);

}  // namespace espalier::addon
