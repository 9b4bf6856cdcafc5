#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/llama.h"

namespace espalier::test {

/// How a model is cut and run.
struct Cut {
  int tensorSize = 1;
  int stages = 1;
  int threads = 1;
  const engine::Kernels* kernels = nullptr;
};

/// All ranks of a model in this process: one thread per tensor rank, stages one after the other.
class Ranks {
 public:
  Ranks(const std::string& folder, const Cut& cut, int contextLength = 64, int maxSequences = 4);
  ~Ranks();
  const Status& status() const { return status_; }
  /// Runs all stages; checks that all ranks agree on every bit. Empty on failure (see status).
  std::vector<float> forward(std::span<const engine::Segment> segments);
  const engine::LlamaModel& model(int rank) const { return *models_[static_cast<size_t>(rank)]; }

 private:
  void onAllRanks(const std::function<Status(int rank)>& body);

  Cut cut_;
  Status status_;
  std::vector<std::unique_ptr<engine::LlamaModel>> models_;  // [stage × tensorSize + rank]
  std::vector<std::unique_ptr<transport::Group>> groups_;    // [rank]
};

}  // namespace espalier::test
