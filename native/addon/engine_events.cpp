#include "addon/engine_events.h"

#include "addon/engine_options.h"

namespace espalier::addon {
namespace {

const char* phaseName(engine::EnginePhase phase) {
  switch (phase) {
    case engine::EnginePhase::Rendezvous:
      return "Rendezvous";
    case engine::EnginePhase::Loading:
      return "Loading";
    case engine::EnginePhase::Serving:
      return "Serving";
  }
  return "";
}

/// Triples (handle, token, finish reason) in one typed array: one object a step, however many requests run.
Napi::Int32Array tokenTriples(Napi::Env env, const std::vector<engine::TokenEvent>& tokens) {
  Napi::Int32Array triples = Napi::Int32Array::New(env, tokens.size() * 3);
  if (triples.IsEmpty()) return triples;  // A worker that is being terminated makes no more arrays.
  size_t next = 0;
  for (const engine::TokenEvent& event : tokens) {
    triples[next++] = static_cast<int32_t>(event.requestId);
    triples[next++] = event.token;
    triples[next++] = static_cast<int32_t>(event.finish);
  }
  return triples;
}

}  // namespace

Napi::Object eventObject(Napi::Env env, const EngineEvent& event) {
  Napi::Object object = Napi::Object::New(env);
  switch (event.kind) {
    case EngineEvent::Kind::Listening:
      object.Set("type", "listening");
      object.Set("port", static_cast<double>(event.port));
      break;
    case EngineEvent::Kind::Phase:
      object.Set("type", "phase");
      object.Set("phase", phaseName(event.phase));
      break;
    case EngineEvent::Kind::Tokens:
      object.Set("type", "tokens");
      object.Set("tokens", tokenTriples(env, event.tokens));
      break;
    case EngineEvent::Kind::End:
      object.Set("type", "end");
      if (!event.status.ok()) object.Set("error", errorObject(env, event.status));
      break;
  }
  return object;
}

Napi::Object statsObject(Napi::Env env, const engine::EngineStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("shardBytes", static_cast<double>(stats.shardBytes));
  object.Set("cacheBytes", static_cast<double>(stats.cacheBytes));
  object.Set("allReduces", static_cast<double>(stats.allReduces));
  object.Set("activeRequests", static_cast<double>(stats.activeRequests));
  object.Set("decodeTokensPerSecond", stats.decodeTokensPerSecond);
  Napi::Array peers = Napi::Array::New(env, stats.peers.size());
  for (uint32_t index = 0; index < stats.peers.size(); ++index) {
    const transport::PeerStats& peer = stats.peers[index];
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("peerRank", peer.rank);
    entry.Set("kind", linkName(peer.link));
    entry.Set("bytesSent", static_cast<double>(peer.bytesSent));
    entry.Set("bytesReceived", static_cast<double>(peer.bytesReceived));
    entry.Set("stallUs", peer.stallUs);
    peers.Set(index, entry);
  }
  object.Set("peers", peers);
  return object;
}

}  // namespace espalier::addon
