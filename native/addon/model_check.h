#pragma once
#include <napi.h>

namespace espalier::addon {

/// checkModel(folder): Promise of {architecture, vocabSize, maxPositions}. Reads config.json and the headers of
/// all files of weights, the way the engine will, off JavaScript's thread; rejects with the fields of Status.
Napi::Value checkModel(const Napi::CallbackInfo& info);

}  // namespace espalier::addon
