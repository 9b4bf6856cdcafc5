#include "transport/collectives/waiter.h"

#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <string>
#include <utility>

#include "transport/failure.h"
#include "transport/relax.h"

namespace espalier::transport {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Looks before giving way: some 50 µs on shared memory, which covers the usual skew between ranks that work on
/// the same layer. On TCP each look is a system call, so there the time is the bound: what a piece of 256 KiB may
/// take, since giving way costs a turn of the scheduler if somebody else wants the core. Where ranks share cores, nobody
/// spins.
constexpr int kSpins = 2'000;
constexpr auto kSpinFor = microseconds(250);
constexpr int kSpinsPerGlance = 16;  // at the clock
/// Over verbs, a sleep that was over this soon was not worth its wake-up: the next wait stays awake for twice as long,
/// up to the second figure, and after a longer one for half of that time. Where an event takes a millisecond to wake
/// somebody (virtual machines do that) ranks would otherwise never stop to oversleep for each other. Not so where ranks
/// share cores.
constexpr auto kShortWait = milliseconds(10);
constexpr auto kLongestAwake = microseconds(6'400);
/// A yield that takes longer than this went to a process that does not give way in return; the scheduler's turn is
/// some 3 ms. A sleeper may wait for the end of such a turn as well, so for a while the core is kept for longer, unless
/// ranks share it.
constexpr auto kForeignYield = milliseconds(1);
constexpr auto kNoYieldFor = milliseconds(1'000);
constexpr auto kKeepFor = milliseconds(1);
/// The system's first retransmission: only from then on it is known that nobody answers.
constexpr auto kFirstRetryAfter = milliseconds(200);
/// Longest sleep: bounds how late a death is noticed by one who waits on shared memory.
constexpr int64_t kParkUs = 50'000;
/// Longest sleep while something else than the link slept on may need a hand.
constexpr int64_t kMixedParkUs = 1'000;
/// The same for who waits in a send, once nothing has come for a while.
constexpr int64_t kSenderParkUs = 10'000;
constexpr auto kQuietAfter = milliseconds(100);

bool isBetweenTwo(const Header& call) {
  return call.operation == Operation::Send || call.operation == Operation::Receive;
}

bool isSameCall(const Header& a, const Header& b) {
  return a.operation == b.operation && a.type == b.type && a.reduce == b.reduce && a.root == b.root &&
         a.callBytes == b.callBytes;
}

}  // namespace

void Mesh::Waiter::pause(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming) {
  if (rounds_ == 0) begin();
  if (rounds_ < kSpins + 2) ++rounds_;  // no further: an idle wait may last for months
  if (rounds_ < kSpins && !mesh_.place_.crowded) {
    if (rounds_ % kSpinsPerGlance == 0 && Clock::now() - began_ > kSpinFor) rounds_ = kSpins;
    if (mesh_.relaxes_) relax();
    return;
  }
  const Deadline now = Clock::now();
  if (rounds_ == kSpins + 1) separate(incoming, now);
  const bool yields = now >= mesh_.yieldFrom_;
  const microseconds awakeFor = mesh_.place_.crowded ? kAwakeFor : mesh_.awakeFor_;
  if (!yields && !mesh_.place_.crowded && now - began_ < std::max<microseconds>(awakeFor, kKeepFor)) return relax();
  if (yields && now - began_ < awakeFor) {
    sched_yield();
    if (const Deadline back = Clock::now(); back - now > kForeignYield) mesh_.yieldFrom_ = back + kNoYieldFor;
    return;
  }
  tellCall(outgoing, incoming);
  giveUpIfLate(outgoing, incoming, now);
  if (makeRoom(outgoing, incoming, now)) return;
  if (!mesh_.liveness_->dead()) park(outgoing, incoming, now);
  slept_ = true;
}

void Mesh::Waiter::begin() {
  began_ = Clock::now();
  if (mesh_.deadline_ == Deadline{}) mesh_.deadline_ = began_ + milliseconds(mesh_.place_.operationTimeoutMs);
}

/// Of two ranks that share a core, the higher one moves.
void Mesh::Waiter::separate(std::span<const Incoming> incoming, Deadline now) {
  for (const Incoming& in : incoming) {
    if (in.done || in.peer > mesh_.rank()) continue;
    const Link& link = *mesh_.links_[in.peer];
    if (link.kind() == LinkKind::Tcp) mesh_.coreSharing_.separate(link.waitFd(), now);
  }
}

void Mesh::Waiter::tellCall(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming) {
  if (std::exchange(told_, true)) return;
  const Header& call = incoming.empty() ? outgoing.front().header : incoming.front().expected;
  if (!isBetweenTwo(call)) {
    mesh_.flows_->waitsIn(call);
  } else if (!incoming.empty()) {
    mesh_.flows_->waitsFor(incoming.front().peer, call.sequence);
  }
}

bool Mesh::Waiter::makeRoom(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, Deadline now) {
  makesRoom_ = incoming.empty() && isBetweenTwo(outgoing.front().header);
  if (madeRoomAt_ == Deadline{}) madeRoomAt_ = now;
  if (!makesRoom_ || mesh_.liveness_->dead() || !mesh_.stashArrivals()) return false;
  madeRoomAt_ = now;
  return true;
}

void Mesh::Waiter::suspect(int peer) {
  if (suspect_ >= 0) return;
  suspect_ = peer;
  suspectedAt_ = Clock::now();
}

void Mesh::Waiter::finish(int lastPeer) {
  if (rounds_ == 0) return;
  const std::chrono::nanoseconds stall = Clock::now() - began_;
  PeerCounters::raise(mesh_.counters_[lastPeer].stallNs, static_cast<uint64_t>(stall.count()));
  if (!slept_ || mesh_.links_[lastPeer]->kind() != LinkKind::Verbs) return;
  mesh_.awakeFor_ = stall < kShortWait ? std::min(mesh_.awakeFor_ * 2, kLongestAwake)
                                       : std::max<microseconds>(mesh_.awakeFor_ / 2, kAwakeFor);
}

void Mesh::Waiter::park(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, Deadline now) {
  std::vector<pollfd> fds;
  Link* sleeper = nullptr;
  bool sleeperReceives = false;
  int waits = 0;
  bool came = false;
  const auto consider = [&](int peer, bool receives) {
    ++waits;
    Link* link = mesh_.links_[peer].get();
    if (link->waitFd() >= 0) {
      // A broken socket is always readable: its peer's fate comes over the side channel.
      if (peer == suspect_) return;
      came = !link->prepareToWait() || came;
      const bool readable = receives || link->kind() == LinkKind::Verbs;  // which announces sends and receives alike
      fds.push_back({receives ? link->waitFd() : link->sendWaitFd(), static_cast<short>(readable ? POLLIN : POLLOUT), 0});
    } else if (sleeper == nullptr) {
      sleeper = link;
      sleeperReceives = receives;
    }
  };
  for (const Incoming& in : incoming) {
    if (!in.done) consider(in.peer, true);
  }
  for (const Outgoing& out : outgoing) {
    if (!out.done) consider(out.peer, false);
  }
  if (came) return;
  int64_t limitUs = std::min<int64_t>(kParkUs, mesh_.liveness_->timeoutMs() * 100);
  if (mesh_.place_.operationTimeoutMs > 0) {
    const auto left = std::chrono::ceil<microseconds>(mesh_.deadline_ - now).count();
    limitUs = std::clamp<int64_t>(left, 1, limitUs);
  }
  if (sleeper != nullptr && waits > 1) limitUs = std::min(limitUs, kMixedParkUs);
  if (makesRoom_) limitUs = std::min(limitUs, now - madeRoomAt_ < kQuietAfter ? kMixedParkUs : kSenderParkUs);
  if (sleeper != nullptr && fds.empty()) return sleeper->park(sleeperReceives, limitUs);
  fds.push_back({mesh_.liveness_->wakeFd(), POLLIN, 0});
  poll(fds.data(), static_cast<nfds_t>(fds.size()), static_cast<int>((limitUs + 999) / 1'000));
}

bool Mesh::Waiter::findLoss(std::span<const Incoming> incoming, Deadline now) {
  const auto isLost = [&](int peer) {
    // A rank in between may be stopped for a while, too.
    const bool direct = mesh_.place_.via[peer] == kDirect;
    const milliseconds patience(mesh_.liveness_->timeoutMs() / (direct ? 2 : 1));
    return mesh_.flows_->lost(peer, mesh_.links_[peer]->bytesHeard(), now, patience);
  };
  for (const Incoming& in : incoming) {
    if (in.done || !isLost(in.peer)) continue;
    const std::string from = std::to_string(mesh_.place_.familyRanks[in.peer]);
    const std::string to = std::to_string(mesh_.place_.familyRanks[mesh_.place_.rank]);
    const char* link = linkName(mesh_.links_[in.peer]->kind());
    mesh_.fail(failure("DataLost",
                       "rank " + from + " sent " + std::to_string(mesh_.flows_->announcedBy(in.peer)) +
                           " messages over " + link + ", but only " +
                           std::to_string(mesh_.flows_->arrivedFrom(in.peer)) + " came to rank " + to +
                           ": the way from rank " + from + " to rank " + to +
                           " loses them, though both live; check its cable, route and firewall",
                       in.peer, link));
    return true;
  }
  return false;
}

bool Mesh::Waiter::findSilence(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming) {
  // Later than the side channel: if that hears nothing either, the peer is gone, which says more.
  const milliseconds patience = milliseconds(mesh_.liveness_->timeoutMs()) - kFirstRetryAfter;
  const auto isSilent = [&](int peer) {
    if (!mesh_.links_[peer]->isUnanswered(std::max(patience, milliseconds(1)))) return false;
    const char* link = linkName(mesh_.links_[peer]->kind());
    mesh_.fail(failure("DataLost",
                       "the way to rank " + std::to_string(mesh_.place_.familyRanks[peer]) + " over " + link +
                           " is dead though both live: " + mesh_.links_[peer]->why() +
                           "; check its cable, route and firewall",
                       peer, link));
    return true;
  };
  for (const Incoming& in : incoming) {
    if (!in.done && isSilent(in.peer)) return true;
  }
  for (const Outgoing& out : outgoing) {
    if (!out.done && isSilent(out.peer)) return true;
  }
  return false;
}

/// Whether the call that `peer` waits in rules out that it ever does what this rank waits for in `own`.
bool Mesh::Waiter::contradicts(int peer, const Header& own, bool receives) const {
  const Flows::Standing there = mesh_.flows_->standingOf(peer);
  if (there.call.operation == Operation::Goodbye) return false;
  if (isBetweenTwo(own)) {
    // It is through with that call only after this rank has made it. What it sent before must all have been taken.
    const bool nothingComes = !receives || there.sent <= mesh_.flows_->arrivedFrom(peer);
    const bool needsThis = there.call.operation != Operation::Broadcast || there.call.root == mesh_.rank();
    return nothingComes && needsThis &&
           static_cast<int32_t>(there.call.sequence - mesh_.nextCall_) >= 0;
  }
  const auto ahead = static_cast<int32_t>(there.call.sequence - own.sequence);
  if (ahead == 0) return !isSameCall(there.call, own);
  // It is through with the call of this number, and all that it sent in that has been taken.
  return ahead > 0 && receives && there.sent <= mesh_.flows_->arrivedFrom(peer);
}

/// What a peer sent before it entered the other call is seen by the look that follows the first sight of that call.
bool Mesh::Waiter::findOtherCall(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming) {
  const auto check = [&](int peer, const Header& own, bool receives) {
    if (contradicts(peer, own, receives)) {
      mesh_.mismatch(peer, describeCall(mesh_.flows_->standingOf(peer).call), own);
      return true;
    }
    const std::string call = mesh_.otherCallOf_ ? mesh_.otherCallOf_(peer) : "";
    if (call.empty()) return false;
    if (elsewhere_ == peer) mesh_.mismatch(peer, call, own);
    return std::exchange(elsewhere_, peer) == peer;
  };
  for (const Incoming& in : incoming) {
    if (!in.done && check(in.peer, in.expected, true)) return true;
  }
  for (const Outgoing& out : outgoing) {
    if (!out.done && check(out.peer, out.header, false)) return true;
  }
  return false;
}

void Mesh::Waiter::giveUpIfLate(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming,
                                Deadline now) {
  std::string names;
  int first = -1;
  const auto name = [&](int peer) {
    if (first < 0) first = peer;
    const std::string text = std::to_string(mesh_.place_.familyRanks[peer]);
    if ((", " + names + ",").find(", " + text + ",") == std::string::npos) names += (names.empty() ? "" : ", ") + text;
  };
  if (findLoss(incoming, now) || findSilence(outgoing, incoming) || findOtherCall(outgoing, incoming)) return;
  const milliseconds grace(mesh_.liveness_->timeoutMs());
  const bool brokeHere = suspect_ >= 0 && mesh_.links_[suspect_]->brokeHere();
  if (suspect_ >= 0 && (brokeHere || now - suspectedAt_ >= grace / 2)) {
    // This host knows why, or the side channel still hears that rank: only the data connection is gone.
    mesh_.fail(failure("PeerLost",
                       "the data connection to rank " + std::to_string(mesh_.place_.familyRanks[suspect_]) +
                           " broke" + mesh_.wayTo(suspect_) + ": " + mesh_.links_[suspect_]->why(),
                       suspect_));
  } else if (mesh_.liveness_->unwatched() && now - began_ >= grace) {
    mesh_.liveness_->fail(failure("PeerLeft", "rank 0 left the group while others still waited for each other", 0));
  } else if (mesh_.place_.operationTimeoutMs > 0 && now >= mesh_.deadline_) {
    for (const Incoming& in : incoming) {
      if (!in.done) name(in.peer);
    }
    for (const Outgoing& out : outgoing) {
      if (!out.done) name(out.peer);
    }
    mesh_.fail(failure("OperationTimeout",
                       "waited " + std::to_string(mesh_.place_.operationTimeoutMs) + " ms for rank " + names +
                           ", which lives but did not take part",
                       first));
  }
}

}  // namespace espalier::transport
