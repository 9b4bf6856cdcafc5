#pragma once
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/model.h"
#include "engine/scheduler.h"
#include "engine/step_runner.h"
#include "status.h"
#include "transport/group.h"

namespace espalier::engine {

enum class EnginePhase : uint8_t { Rendezvous, Loading, Serving };

/// What an engine tells. Called from the engine's own thread, never at the same time; must not block.
class EngineListener {
 public:
  virtual ~EngineListener() = default;
  /// Rank 0 only: the others may dial this port.
  virtual void onListening(uint16_t port) = 0;
  virtual void onPhase(EnginePhase phase) = 0;
  /// Rank 0 only: the tokens of one step.
  virtual void onTokens(const std::vector<TokenEvent>& events) = 0;
  /// The last call. Not ok: the engine failed, and every request that was not finished has failed with it.
  virtual void onEnd(const Status& status) = 0;
};

struct EngineOptions {
  transport::GroupOptions group;
  ModelOptions model;
  int maxWaiting = 32;
  /// Most tokens in one step; longer prompts are read in several steps.
  int tokensPerStep = 256;
};

struct EngineStats {
  uint64_t shardBytes = 0;
  uint64_t cacheBytes = 0;
  /// All-reduces that this rank has completed, in all of its groups.
  uint64_t allReduces = 0;
  /// Requests with a slot or waiting for one; 0 on ranks other than 0.
  uint64_t activeRequests = 0;
  /// Over the last seconds of decoding, all requests together; 0 before the first.
  double decodeTokensPerSecond = 0;
  std::vector<transport::PeerStats> peers;
};

/// One rank of a group that serves one model: forms the group, loads the shard, then runs steps until
/// it is told to stop or something fails. Rank 0 takes requests; the others follow its steps.
/// One thread does all of it (the model adds its own compute threads). All methods may be called from any thread.
class Engine {
 public:
  /// `listener` must outlive the engine's thread.
  Engine(EngineOptions options, EngineListener& listener);
  /// Blocks until the engine's thread has ended.
  ~Engine();

  void start();
  /// Rank 0, once it serves; EngineNotReady otherwise.
  Status submit(GenerationRequest request);
  void cancel(uint64_t requestId);
  EngineStats stats() const;
  /// Rank 0: all ranks leave in order after the running step. On another rank: only this one's wish,
  /// it leaves when rank 0 does (see abort).
  void requestStop();
  /// Ends the group on all ranks, now.
  void abort(const std::string& reason);

 private:
  Status serve();
  Status formGroup();
  Status load();
  Status lead();
  Status follow();
  /// Waits until there is something to do, at most for the idle interval; gives the step to run.
  Step nextStep();
  StepRunner makeRunner();
  void countDecoding(const Step& step, double seconds);
  bool stopRequested() const;
  StepLimits stepLimits() const;

  const EngineOptions options_;
  EngineListener& listener_;

  mutable std::mutex mutex_;  ///< guards everything below that `submit`, `cancel`, `stats`, `abort` use
  std::condition_variable wake_;
  bool stopRequested_ = false;
  std::unique_ptr<Scheduler> scheduler_;
  /// Set while they can be used by other threads.
  std::unique_ptr<transport::Group> world_;
  std::unique_ptr<transport::Group> stageGroup_;
  std::unique_ptr<Model> model_;
  double decodeTokens_ = 0;
  double decodeSeconds_ = 0;

  std::thread thread_;
};

}  // namespace espalier::engine
