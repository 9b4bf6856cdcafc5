#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "status.h"
#include "transport/liveness/flows.h"
#include "transport/rendezvous/rendezvous.h"

namespace espalier::transport {

/// Watches over a group and everything split from it. Fails once, for all: the first failure, found here, found by
/// a collective or told by a peer, is the group's for ever, on every rank. A star of side connections around rank
/// 0 carries heartbeats, goodbyes and failures, served by one thread per rank that ends with the group.
class Liveness {
 public:
  /// Ranks are those of the first group, before any split.
  Liveness(int rank, int size, int timeoutMs, std::vector<ControlConnection> control);
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  bool dead() const { return dead_.load(std::memory_order_acquire); }
  /// Rank 0 has left in order: nobody is told of deaths any more, so waits must be short.
  bool unwatched() const { return unwatched_.load(std::memory_order_acquire); }
  Status cause() const;
  /// Declares the group dead here and tells all others. The first call wins. Any thread.
  void fail(const Status& status);
  /// Readable once the group is dead.
  int wakeFd() const { return wake_.fd(); }
  int timeoutMs() const { return timeoutMs_; }
  /// What each rank has sent on these links is told to those it was for, with the beats, as long as they exist.
  void follow(const std::shared_ptr<Flows>& flows) { flows_.add(flows); }

 private:
  struct Peer {
    int rank;
    Socket socket;
    FrameReader reader;
    Deadline lastHeard;
    bool open = true;
  };
  void watch();
  void listenTo(Peer& peer);
  void handle(Peer& peer, const Frame& frame);
  void close(Peer& peer);
  void beat();
  void handleReports(const Peer& peer, const Frame& frame);
  void findSilent(Deadline now);
  void findCircle();
  Deadline soonestSilence() const;
  std::string nameOf(const Peer& peer) const;
  bool declare(const Status& status);
  void tell(const Status& status, int exceptRank);

  const int rank_, size_, timeoutMs_;
  std::atomic<bool> dead_{false}, unwatched_{false}, stopping_{false};
  mutable std::mutex causeMutex_;
  Status cause_;
  std::mutex sendMutex_;  ///< guards peers_' sockets against frames that interleave
  std::vector<Peer> peers_;
  FlowBook flows_;
  /// Rank 0: the last reports of each rank for each other, to be passed on. The watch's own.
  std::vector<std::vector<FlowReport>> relayed_;
  /// Rank 0: all that each rank, itself too, said last. The watch's own.
  std::vector<std::vector<FlowReport>> said_;
  WakePipe wake_;
  std::thread thread_;
};

}  // namespace espalier::transport
