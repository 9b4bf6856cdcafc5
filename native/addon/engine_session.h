#pragma once
#include <napi.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "addon/engine_events.h"
#include "engine/engine.h"

namespace espalier::addon {

/// Joins an engine to one JavaScript environment: its events become calls of `onEvent` on that
/// environment's thread, in order. Lives until the engine has ended and JavaScript was told so, or until the
/// environment goes away.
class EngineSession final : public engine::EngineListener {
 public:
  /// `onEnded` runs on JavaScript's thread after the last event.
  static std::shared_ptr<EngineSession> start(Napi::Env env, engine::EngineOptions options,
                                              const Napi::Function& onEvent, std::function<void()> onEnded);
  ~EngineSession() override;

  engine::Engine& engine() { return *engine_; }

  void onListening(uint16_t port) override;
  void onPhase(engine::EnginePhase phase) override;
  void onTokens(const std::vector<engine::TokenEvent>& events) override;
  void onEnd(const Status& status) override;

 private:
  static void deliver(Napi::Env env, Napi::Function callback, EngineSession* session, EngineEvent* event);
  /// Clean-up hook of the environment; `data` is the session.
  static void environmentGoesAway(void* data);
  using Channel = Napi::TypedThreadSafeFunction<EngineSession, EngineEvent, deliver>;

  EngineSession() = default;
  void post(EngineEvent event);
  /// On JavaScript's thread, once: after it no event is delivered.
  void finish();

  std::unique_ptr<engine::Engine> engine_;
  Channel channel_;
  std::function<void()> onEnded_;
  /// The session keeps itself: the engine's thread uses it whatever JavaScript holds.
  std::shared_ptr<EngineSession> self_;
  Napi::Env env_ = nullptr;

  std::mutex mutex_;
  std::condition_variable endedChanged_;
  bool closed_ = false;  ///< no more calls into JavaScript
  bool ended_ = false;   ///< the engine's thread makes no more calls
};

}  // namespace espalier::addon
