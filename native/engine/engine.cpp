#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

namespace espalier::engine {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// Rank 0 speaks at least this often, so that a rank that died while nothing was asked is found within 2 s.
constexpr auto kIdleInterval = std::chrono::milliseconds(250);
/// Decoding time over which the rate is taken: old steps count half after this long.
constexpr double kRateWindowSeconds = 5.0;

/// A failure that the transport has not reported itself, so that the other ranks do not know of it yet.
bool isLocal(const Status& status) { return status.rank < 0 && status.link.empty(); }

uint64_t allReducesOf(const transport::Group& group) {
  for (const transport::CollectiveStats& collective : group.stats().collectives) {
    if (collective.name == "allReduce") return collective.count;
  }
  return 0;
}

}  // namespace

Engine::Engine(EngineOptions options, EngineListener& listener)
    : options_(std::move(options)), listener_(listener) {}

Engine::~Engine() {
  requestStop();
  if (thread_.joinable()) thread_.join();
}

void Engine::start() {
  thread_ = std::thread([this] {
    Status status = serve();
    if (!status.ok() && isLocal(status)) {
      abort("rank " + std::to_string(options_.group.rank) + " failed: " + status.code + ": " + status.message);
    }
    {
      const std::lock_guard lock(mutex_);
      scheduler_.reset();
    }
    listener_.onEnd(status);
  });
}

Status Engine::serve() {
  listener_.onPhase(EnginePhase::Rendezvous);
  Status status = formGroup();
  if (!status.ok() || stopRequested()) return status;
  listener_.onPhase(EnginePhase::Loading);
  status = load();
  if (!status.ok()) return status;
  listener_.onPhase(EnginePhase::Serving);
  return options_.group.rank == 0 ? lead() : follow();
}

Status Engine::formGroup() {
  transport::GroupOptions options = options_.group;
  options.onListening = [](uint16_t port, void* context) {
    static_cast<EngineListener*>(context)->onListening(port);
  };
  options.onListeningContext = &listener_;
  Status status;
  std::unique_ptr<transport::Group> world = transport::Group::create(options, status);
  if (!status.ok()) return status;

  const Shard& shard = options_.model.shard;
  std::unique_ptr<transport::Group> stageGroup;
  if (shard.stageCount > 1 && shard.tensorSize > 1) {
    stageGroup = world->split(shard.stage, shard.tensorRank, status);
    if (!status.ok()) return status;
  }
  const std::lock_guard lock(mutex_);
  world_ = std::move(world);
  stageGroup_ = std::move(stageGroup);
  return Status::success();
}

Status Engine::load() {
  Status status;
  std::unique_ptr<Model> model = Model::load(options_.model, status);
  if (!status.ok()) return status;
  // Every rank holds its shard before rank 0 says that it serves.
  status = world_->barrier();
  if (!status.ok()) return status;
  const std::lock_guard lock(mutex_);
  model_ = std::move(model);
  if (options_.group.rank == 0) {
    scheduler_ = std::make_unique<Scheduler>(SchedulerLimits{stepLimits(), options_.maxWaiting});
  }
  return Status::success();
}

Status Engine::lead() {
  const StepLimits limits = stepLimits();
  StepRunner runner = makeRunner();
  std::vector<int32_t> sampled;
  for (;;) {
    Step step = nextStep();
    Status status = broadcastStep(*world_, limits, step);
    if (!status.ok() || step.kind == StepKind::Stop) return status;
    if (step.kind == StepKind::Idle) continue;

    const auto begin = SteadyClock::now();
    status = runner.run(step, sampled);
    if (!status.ok()) return status;
    countDecoding(step, std::chrono::duration<double>(SteadyClock::now() - begin).count());

    std::vector<TokenEvent> events;
    {
      const std::lock_guard lock(mutex_);
      events = scheduler_->accept(sampled);
    }
    if (!events.empty()) listener_.onTokens(events);
  }
}

Status Engine::follow() {
  const StepLimits limits = stepLimits();
  StepRunner runner = makeRunner();
  std::vector<int32_t> sampled;
  for (;;) {
    Step step;
    Status status = broadcastStep(*world_, limits, step);
    if (!status.ok() || step.kind == StepKind::Stop) return status;
    if (step.kind == StepKind::Idle) continue;
    status = runner.run(step, sampled);
    if (!status.ok()) return status;
  }
}

Step Engine::nextStep() {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, kIdleInterval, [this] { return stopRequested_ || !scheduler_->idle(); });
  if (!stopRequested_) return scheduler_->next();
  Step stop;
  stop.kind = StepKind::Stop;
  return stop;
}

StepRunner Engine::makeRunner() {
  transport::Group* tensorGroup = options_.model.shard.stageCount == 1 ? world_.get() : stageGroup_.get();
  return {*model_, options_.model.shard, *world_, tensorGroup};
}

void Engine::countDecoding(const Step& step, double seconds) {
  const auto decoding = std::count_if(step.segments.begin(), step.segments.end(), [](const StepSegment& segment) {
    return segment.drawIndex > 0;
  });
  if (decoding == 0) return;
  const std::lock_guard lock(mutex_);
  if (decodeSeconds_ > kRateWindowSeconds) {
    decodeSeconds_ /= 2;
    decodeTokens_ /= 2;
  }
  decodeSeconds_ += seconds;
  decodeTokens_ += static_cast<double>(decoding);
}

Status Engine::submit(GenerationRequest request) {
  const std::lock_guard lock(mutex_);
  if (scheduler_ == nullptr || stopRequested_) {
    return Status::failure("EngineNotReady", "This rank takes no requests: it starts, stops or is not rank 0.");
  }
  Status status = scheduler_->submit(std::move(request));
  wake_.notify_one();
  return status;
}

void Engine::cancel(uint64_t requestId) {
  const std::lock_guard lock(mutex_);
  if (scheduler_ != nullptr) scheduler_->cancel(requestId);
}

EngineStats Engine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats;
  if (model_ != nullptr) {
    stats.shardBytes = model_->shardBytes();
    stats.cacheBytes = model_->cacheBytes();
  }
  if (world_ != nullptr) {
    stats.allReduces = allReducesOf(*world_);
    stats.peers = world_->stats().peers;
  }
  if (stageGroup_ != nullptr) stats.allReduces += allReducesOf(*stageGroup_);
  if (scheduler_ != nullptr) stats.activeRequests = scheduler_->load();
  if (decodeSeconds_ > 0) stats.decodeTokensPerSecond = decodeTokens_ / decodeSeconds_;
  return stats;
}

void Engine::requestStop() {
  const std::lock_guard lock(mutex_);
  stopRequested_ = true;
  wake_.notify_one();
}

void Engine::abort(const std::string& reason) {
  const std::lock_guard lock(mutex_);
  if (world_ != nullptr) world_->abort(reason);
}

bool Engine::stopRequested() const {
  const std::lock_guard lock(mutex_);
  return stopRequested_;
}

StepLimits Engine::stepLimits() const {
  return {options_.model.maxSequences, options_.model.contextLength,
          std::max(options_.tokensPerStep, options_.model.maxSequences), model_->shape().vocabSize};
}

}  // namespace espalier::engine
