#include "engine/model.h"

#include "engine/llama.h"

namespace espalier::engine {

std::unique_ptr<Model> Model::load(const ModelOptions& options, Status& status) {
  return LlamaModel::load(options, nullptr, status);
}

}  // namespace espalier::engine
