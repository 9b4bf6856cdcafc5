#include "addon/engine_session.h"

#include <chrono>
#include <utility>

namespace espalier::addon {
namespace {

/// Longest time that the exit of a process or worker waits for the engine's thread.
constexpr auto kExitPatience = std::chrono::milliseconds(500);

}  // namespace

std::shared_ptr<EngineSession> EngineSession::start(Napi::Env env, engine::EngineOptions options,
                                                    const Napi::Function& onEvent,
                                                    std::function<void()> onEnded) {
  std::shared_ptr<EngineSession> session(new EngineSession());
  session->self_ = session;
  session->env_ = env;
  session->onEnded_ = std::move(onEnded);
  session->channel_ = Channel::New(env, onEvent, "espalier-engine", 0, 1, session.get());
  // Registered after the channel, so that it runs before the channel's own clean-up.
  napi_add_env_cleanup_hook(env, environmentGoesAway, session.get());
  session->engine_ = std::make_unique<engine::Engine>(std::move(options), *session);
  session->engine_->start();
  return session;
}

EngineSession::~EngineSession() = default;

void EngineSession::onListening(uint16_t port) {
  EngineEvent event;
  event.kind = EngineEvent::Kind::Listening;
  event.port = port;
  post(std::move(event));
}

void EngineSession::onPhase(engine::EnginePhase phase) {
  EngineEvent event;
  event.kind = EngineEvent::Kind::Phase;
  event.phase = phase;
  post(std::move(event));
}

void EngineSession::onTokens(const std::vector<engine::TokenEvent>& events) {
  EngineEvent event;
  event.kind = EngineEvent::Kind::Tokens;
  event.tokens = events;
  post(std::move(event));
}

void EngineSession::onEnd(const Status& status) {
  EngineEvent event;
  event.kind = EngineEvent::Kind::End;
  event.status = status;
  post(std::move(event));
  const std::lock_guard lock(mutex_);
  ended_ = true;
  endedChanged_.notify_all();
}

void EngineSession::post(EngineEvent event) {
  // Under the lock, so that the environment can not go away in the middle of the call.
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  auto owned = std::make_unique<EngineEvent>(std::move(event));
  if (channel_.NonBlockingCall(owned.get()) == napi_ok) static_cast<void>(owned.release());
}

void EngineSession::deliver(Napi::Env env, Napi::Function callback, EngineSession* session, EngineEvent* event) {
  const std::unique_ptr<EngineEvent> owned(event);
  if (env == nullptr || callback.IsEmpty()) return;
  const bool last = event->kind == EngineEvent::Kind::End;
  const Napi::HandleScope scope(env);
  callback.Call({eventObject(env, *event)});
  if (last) session->finish();
}

void EngineSession::finish() {
  std::shared_ptr<EngineSession> keep;
  {
    std::unique_lock lock(mutex_);
    if (closed_) return;
    closed_ = true;
    endedChanged_.wait(lock, [this] { return ended_; });  // Its thread is past the last event already.
    keep = std::move(self_);
  }
  napi_remove_env_cleanup_hook(env_, environmentGoesAway, this);
  engine_.reset();
  channel_.Release();
  if (onEnded_) onEnded_();
}

void EngineSession::environmentGoesAway(void* data) {
  auto* session = static_cast<EngineSession*>(data);
  std::shared_ptr<EngineSession> keep;
  {
    const std::lock_guard lock(session->mutex_);
    if (session->closed_) return;
    session->closed_ = true;
    keep = std::move(session->self_);
  }
  session->engine_->requestStop();
  session->engine_->abort("the process of this rank exits");
  bool ended = false;
  {
    std::unique_lock lock(session->mutex_);
    ended = session->endedChanged_.wait_for(lock, kExitPatience, [session] { return session->ended_; });
  }
  session->channel_.Abort();
  if (ended) return session->engine_.reset();
  // A thread that forms a group or maps a model can not be interrupted: what it uses stays as long as the process.
  static_cast<void>(new std::shared_ptr<EngineSession>(std::move(keep)));
}

}  // namespace espalier::addon
