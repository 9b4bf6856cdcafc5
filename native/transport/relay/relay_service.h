#pragma once
#include <atomic>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "transport/liveness/liveness.h"
#include "transport/relay/family.h"
#include "transport/relay/tunnel.h"
#include "transport/rendezvous/acceptor.h"

namespace espalier::transport {

/// Joins pairs of ranks that have no wire, for as long as the group lives: listens on this rank's relay port, connects
/// who proves the secret to the rank that it asks for, and carries bytes between them. One thread, asleep when nobody
/// talks. What it carries is opaque: the two ends authenticate each other through it.
class RelayService {
 public:
  RelayService(std::shared_ptr<const Family> family, Socket listener, std::shared_ptr<Liveness> liveness);
  /// Ranks may still talk to each other through here when this rank needs them no more: waits until one end of each
  /// tunnel has left or nothing has come through for the liveness timeout, at most a minute, and not at all in a dead
  /// group.
  ~RelayService();
  RelayService(const RelayService&) = delete;
  RelayService& operator=(const RelayService&) = delete;

 private:
  /// Admitted, and about to say where it wants to be connected to.
  struct Asker {
    Arrival arrival;
    Deadline deadline;
  };
  struct Carried {
    Tunnel tunnel;
    int ranks[2];  ///< on either side, the next one on the way
    Deadline brokenAt{};
  };
  void run();
  bool mayEnd(Deadline now) const;
  void serve(Deadline now);
  /// False when the asker is settled, one way or the other.
  bool answer(Asker& asker);
  void blame(const Carried& carried);

  const std::shared_ptr<const Family> family_;
  const std::shared_ptr<Liveness> liveness_;
  Acceptor acceptor_;
  std::list<Asker> askers_;
  std::list<Carried> carried_;
  std::atomic<bool> leaving_{false};
  Deadline lingerUntil_{};  ///< set before leaving_
  Deadline lastMoved_{};    ///< the thread's own
  WakePipe wake_;
  std::thread thread_;
};

/// Connects to port `port` of rank `to`, which has no wire to this rank, through the ranks between them. Fails like
/// dialOnce or introduce.
Status dialThrough(const Family& family, int to, uint16_t port, Deadline deadline, int wakeFd, Socket& socket);

}  // namespace espalier::transport
