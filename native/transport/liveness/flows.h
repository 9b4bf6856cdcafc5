#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "transport/link.h"
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

/// Counts the messages on one group's links, so that a rank that waits can tell a link that swallows what was sent from
/// a peer that has sent nothing. The sender's count comes over the side channel, with the heartbeats.
class Flows {
 public:
  /// `groupId` is the same on all members and no other group's; `familyRanks` as Mesh::Place has them.
  Flows(uint64_t groupId, std::vector<int> familyRanks);

  // The thread that uses the group:
  /// A message for `peer` was offered to its link, which took all of it (`done`) or not yet.
  void offered(int peer, bool done) {
    std::atomic<uint64_t>& counter = done ? peers_[peer].done : peers_[peer].tries;
    // One writer: plain load and store are enough, and cheaper than a locked addition.
    counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  void arrived(int peer) { ++peers_[peer].arrived; }
  /// This rank waits in that collective. The others learn of it with the next beat.
  void waitsIn(const Header& call);
  /// This rank waits to receive `peer`'s send of that number, and does nothing else on this group before it comes.
  void waitsFor(int peer, uint32_t send) { peers_[peer].awaits.store(send + 1, std::memory_order_release); }
  /// This rank has begun that many sends to `peer`.
  void beganSends(int peer, uint32_t count) { peers_[peer].begun.store(count, std::memory_order_release); }
  /// The last collective that `peer` said it waits in (Goodbye: none so far), and how many messages it had sent to this
  /// rank when, or after, it entered that.
  struct Standing {
    Header call{Operation::Goodbye};
    uint64_t sent = 0;
  };
  Standing standingOf(int peer) const;
  /// Asked again and again while waiting for a message of `peer` in vain, right after looking for it. True once the peer
  /// has sent more than arrived for `patience`, during which nothing came and three of its beats said so. Time counts only
  /// as far as this rank looked: a process that was stopped does not take its own absence for a loss, and one that hears
  /// no beats not its peer's.
  /// `bytesHeard` is Link::bytesHeard: a long message on a slow link is no loss while it comes in.
  bool lost(int peer, uint64_t bytesHeard, Deadline now, std::chrono::milliseconds patience);
  uint64_t arrivedFrom(int peer) const { return peers_[peer].arrived; }
  uint64_t announcedBy(int peer) const { return peers_[peer].announced.load(std::memory_order_relaxed); }

  // Any thread:
  uint64_t groupId() const { return groupId_; }
  const std::vector<int>& familyRanks() const { return familyRanks_; }
  /// What to tell `peer`, for the watch alone: the messages that its link took, and one more if since the last report
  /// this rank has been trying to give it another.
  uint64_t reportFor(int peer);
  Header call() const;
  uint32_t awaitedFrom(int peer) const { return peers_[peer].awaits.load(std::memory_order_acquire); }
  uint32_t begunTo(int peer) const { return peers_[peer].begun.load(std::memory_order_acquire); }
  void announce(int familyRank, const Standing& standing);

 private:
  struct Peer {
    std::atomic<uint64_t> done{0}, tries{0};                  ///< written by the user, read by the watch
    std::atomic<uint32_t> awaits{0}, begun{0};                ///< the same
    std::atomic<uint64_t> announced{0}, announcements{0};     ///< the other way round
    Standing standing;                                        ///< guarded by callsMutex_
    uint64_t triesReported = 0;                               ///< the watch's own
    uint64_t arrived = 0, arrivedAtLook = 0, bytesAtLook = 0, heardAtLook = 0;  ///< the user's own, as all below
    Deadline lastLook{};
    std::chrono::nanoseconds missing{0};
  };
  const uint64_t groupId_;
  const std::vector<int> familyRanks_;
  std::vector<Peer> peers_;
  mutable std::mutex callsMutex_;  ///< touched only by who waits, and with the beats
  Header call_{Operation::Goodbye};
};

/// What a heartbeat says of one flow.
struct FlowReport {
  uint64_t groupId = 0;
  uint8_t from = 0, to = 0;  ///< ranks of the first group
  Flows::Standing standing;  ///< of `from`; the collective without its pieces
  uint32_t awaits = 0;       ///< the last send of `to` that `from` had to wait for, counted from 1; 0: none so far
  uint32_t begun = 0;        ///< sends to `to` that `from` had begun when, or after, it had begun all these waits
};
void writeReports(ByteWriter& writer, const std::vector<FlowReport>& reports);
/// Empty when the bytes are none.
std::vector<FlowReport> readReports(ByteView bytes);

/// The flows of a family as its watch sees them. Any thread.
class FlowBook {
 public:
  void add(const std::shared_ptr<Flows>& flows);
  std::vector<FlowReport> reportsOf(int familyRank);
  void take(const FlowReport& report);

 private:
  std::mutex mutex_;
  std::vector<std::weak_ptr<Flows>> all_;
};

/// The id of a split's group: the same for all its members, another for each other split of the same parent.
uint64_t splitGroupId(uint64_t parentId, uint64_t splitNumber, int color);

}  // namespace espalier::transport
