#include "support/ranks.h"

#include <thread>

#include "support/test.h"
#include "support/groups.h"

namespace espalier::test {
namespace {

int layerCount(const std::string& folder) {
  engine::ModelConfig config;
  return engine::loadModelConfig(folder, config).ok() ? config.layers : 0;
}

}  // namespace

Ranks::Ranks(const std::string& folder, const Cut& cut, int contextLength, int maxSequences) : cut_(cut) {
  const int layers = layerCount(folder);
  if (cut.tensorSize > 1) groups_ = makeGroups(cut.tensorSize);
  for (int stage = 0; stage < cut.stages; stage++)
    for (int rank = 0; rank < cut.tensorSize; rank++) {
      engine::ModelOptions options;
      options.folder = folder;
      options.contextLength = contextLength;
      options.maxSequences = maxSequences;
      options.threads = cut.threads;
      // The first stages get the fewer layers, so that stages differ when they can.
      options.shard = engine::Shard{.tensorRank = rank,
                                    .tensorSize = cut.tensorSize,
                                    .stage = stage,
                                    .stageCount = cut.stages,
                                    .firstLayer = layers * stage / cut.stages,
                                    .endLayer = layers * (stage + 1) / cut.stages};
      Status status;
      models_.push_back(engine::LlamaModel::load(options, cut.kernels, status));
      if (!status.ok()) status_ = status;
    }
}

Ranks::~Ranks() = default;

void Ranks::onAllRanks(const std::function<Status(int rank)>& body) {
  std::vector<Status> statuses(static_cast<size_t>(cut_.tensorSize));
  std::vector<std::thread> threads;
  for (int rank = 1; rank < cut_.tensorSize; rank++)
    threads.emplace_back([&, rank] { statuses[static_cast<size_t>(rank)] = body(rank); });
  statuses[0] = body(0);
  for (std::thread& thread : threads) thread.join();
  for (const Status& status : statuses)
    if (!status.ok()) status_ = status;
}

std::vector<float> Ranks::forward(std::span<const engine::Segment> segments) {
  size_t tokens = 0;
  for (const engine::Segment& segment : segments) tokens += segment.tokens.size();
  const auto ranks = static_cast<size_t>(cut_.tensorSize);
  if (!status_.ok()) return {};
  const size_t hiddenFloats = tokens * static_cast<size_t>(models_[0]->shape().hiddenSize);
  std::vector<std::vector<float>> hidden(ranks, std::vector<float>(hiddenFloats)), logits(ranks);
  for (int stage = 0; stage < cut_.stages; stage++)
    onAllRanks([&](int rank) {
      const auto at = static_cast<size_t>(rank);
      engine::LlamaModel& model = *models_[static_cast<size_t>(stage * cut_.tensorSize + rank)];
      return model.forward(segments, hidden[at], logits[at], cut_.tensorSize == 1 ? nullptr : groups_[at].get());
    });
  for (size_t rank = 1; rank < ranks; rank++) CHECK(logits[rank] == logits[0]);
  return status_.ok() ? logits[0] : std::vector<float>();
}

}  // namespace espalier::test
