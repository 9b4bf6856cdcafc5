#pragma once
#include <atomic>
#include <functional>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "transport/collectives/stash.h"
#include "transport/link.h"
#include "transport/liveness/liveness.h"
#include "transport/shm/core_sharing.h"

namespace espalier::transport {

struct Outgoing {
  int peer;
  Header header;
  const void* payload;
  bool done = false;
};
struct Incoming {
  int peer;
  Header expected;
  /// Where the payload is wanted in the end, or null: a link that can puts it there, and then `payload` equals it.
  std::byte* target = nullptr;
  const std::byte* payload = nullptr;  ///< set by exchange(), valid until Mesh::release()
  bool done = false;

  /// Has the payload at `target`, however the link delivered it. After exchange(), before release().
  void settle() const {
    if (payload != target && expected.pieceBytes > 0) std::memcpy(target, payload, expected.pieceBytes);
  }
};

inline constexpr int kDirect = -1;
/// The way leads through a rank that is not in this split.
inline constexpr int kViaOutside = -2;

/// Relaxed counters that stats() may read while the group works.
struct PeerCounters {
  std::atomic<uint64_t> bytesSent{0}, bytesReceived{0}, stallNs{0};
  /// One writer: plain load and store are enough, and cheaper than a locked addition.
  static void raise(std::atomic<uint64_t>& counter, uint64_t by) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
};

/// The links of one group, and the one place where it waits. All waits end: when the group dies, when a peer has
/// left that something is expected from, or at the operation's deadline.
class Mesh {
 public:
  struct Place {
    int rank = 0, size = 1;
    /// The first group's ranks of this group's members, as Liveness counts them.
    std::vector<int> familyRanks;
    /// By peer: kDirect where there is a wire, otherwise the first rank on the way, or kViaOutside.
    std::vector<int> via;
    int operationTimeoutMs = 0;
    /// More ranks on this host than cores: spinning would only keep the others from running.
    bool crowded = false;
    /// The same on all members, and no other group's.
    uint64_t groupId = 0;
  };
  Mesh(Place place, std::vector<std::unique_ptr<Link>> links, std::shared_ptr<Liveness> liveness);

  /// Leaves in order, unless the group is dead: then its end needs no explanation.
  ~Mesh();
  Mesh(const Mesh&) = delete;
  Mesh& operator=(const Mesh&) = delete;

  int rank() const { return place_.rank; }
  int size() const { return place_.size; }
  const Place& place() const { return place_; }
  const std::shared_ptr<Liveness>& liveness() const { return liveness_; }
  /// Longest piece that this rank's links carry.
  size_t ownPieceBytes() const;
  /// Longest piece that all of the group's links carry: every rank must cut alike. kPieceBytes until agreed on.
  size_t pieceBytes() const { return pieceBytes_; }
  void agreeOnPieces(size_t bytes) { pieceBytes_ = bytes; }
  /// For messages between pairs, while collectives go another way: what call, if any, a peer waits in that needs this
  /// rank as well. Then it neither sends nor receives before, so whoever waits for it here waits in vain.
  void watchOtherCalls(std::function<std::string(int peer)> callOf) { otherCallOf_ = std::move(callOf); }
  /// The number of the next collective of this group that this rank has not entered.
  void expectCall(uint32_t sequence) { nextCall_ = sequence; }
  /// The number of the next send to `peer` that this rank has not begun.
  void expectSend(int peer, uint32_t number) { flows_->beganSends(peer, number); }
  /// What the set-up sent counts for nothing in the statistics.
  void forgetTraffic();
  const Link* link(int peer) const { return links_[peer].get(); }
  const PeerCounters& counters(int peer) const { return counters_[peer]; }

  /// Begins an operation: its first wait starts its deadline.
  void begin() { deadline_ = {}; }
  /// Sends and receives all of these. On success every Incoming shows its payload, to be given back by release().
  Status exchange(std::span<Outgoing> outgoing, std::span<Incoming> incoming);
  /// The same for one message each way with one peer, both with this header. On success `theirs` shows the peer's payload,
  /// until release().
  Status exchange(int peer, const Header& header, const std::byte* own, const std::byte*& theirs);
  void release(std::span<Incoming> incoming);
  void release(int peer) {
    if (stash_.holds(peer)) [[unlikely]] return stash_.drop(peer);
    links_[peer]->release();
  }
  /// The group's failure as seen from here: `rank` counts in this group, `link` is ours to that rank.
  Status cause() const;
  /// Fails the group. `status.rank` counts in this group.
  Status fail(Status status);

 private:
  class Waiter;
  /// How long a wait stays awake before it sleeps, unless earlier sleeps have taught otherwise: a wake-up costs some
  /// 50 µs, so sleeping earlier would cost more than it saves.
  static constexpr auto kAwakeFor = std::chrono::microseconds(400);
  void countSent(int peer, uint32_t bytes);
  void countArrived(int peer, uint32_t bytes);
  Status exchangeRest(int peer, const Header& header, const std::byte* own, bool hasSent, const std::byte*& theirs);
  bool step(std::span<Outgoing> outgoing, std::span<Incoming> incoming, Waiter& waiter);
  void settle(int peer, LinkResult result, Waiter& waiter);
  /// The next message of `in.peer`, which is shown until release().
  LinkResult take(const Incoming& in, Message& message);
  /// Takes what has come off the links. True if something had.
  bool stashArrivals();
  /// "", or through whom, for messages.
  std::string wayTo(int peer) const;
  void mismatch(int peer, const std::string& got, const Header& expected);

  Place place_;
  std::vector<std::unique_ptr<Link>> links_;
  std::shared_ptr<Liveness> liveness_;
  std::vector<PeerCounters> counters_;
  TcpCoreSharing coreSharing_;
  std::shared_ptr<Flows> flows_;
  Deadline deadline_{};  ///< of the operation; none before it waits
  /// Between two looks. Not over verbs alone: to poll a completion queue takes longer, and under emulation, where a pause
  /// leaves the translated code, who paused sends 2 µs later.
  bool relaxes_ = false;
  size_t pieceBytes_ = kPieceBytes;
  Stash stash_;
  uint32_t nextCall_ = 0;
  std::function<std::string(int peer)> otherCallOf_;
  // The Waiter's:
  Deadline yieldFrom_{};  ///< before, giving way costs more than it is worth
  std::chrono::microseconds awakeFor_ = kAwakeFor;
};

}  // namespace espalier::transport
