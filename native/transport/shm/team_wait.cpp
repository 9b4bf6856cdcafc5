#include "transport/shm/team_wait.h"

#include <sched.h>

#include <algorithm>
#include <string>

#include "transport/failure.h"
#include "transport/relax.h"
#include "transport/shm/futex.h"

namespace espalier::transport {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

/// Looks before the clock is read at all: what a peer in step needs, some 1 µs.
constexpr int kTeamFreeLooks = 32;
/// How long to spin; it covers the usual skew between ranks that work on the same layer, and the time in which MLX's main
/// thread builds a graph: after 50 µs, one run in six had its threads arranged by the yields so that all-reduces of 2.5 µs
/// took 6.
constexpr auto kTeamSpinFor = microseconds(200);
constexpr int kTeamLooksPerGlance = 16;  // at the clock
/// The same where ranks share cores, while nobody who works on this core is waited for: giving way would help nobody,
/// and costs two changes of process.
constexpr auto kTeamCrowdedSpinFor = microseconds(20);
/// How long to give way by sched_yield before sleeping: a wake-up costs up to 50 µs, and puts the thread onto the core of
/// whoever woke it. With a core for each rank it covers what the other threads of a program do there in between: MLX's
/// main threads build graphs while its streams compute. Two ranks of mlx-lm beside other work made 20 to 80 tokens a
/// second with 400 µs and with the sleep after dear yields, 94 to 167 with 3 ms and without it.
constexpr auto kTeamYieldFor = microseconds(3'000);
constexpr auto kTeamCrowdedYieldFor = microseconds(400);
/// Where ranks share cores, a yield that took this long went to somebody else's work: ranks hand the core back within
/// microseconds. Then the next waits sleep at once, for who sleeps is preferred when it wakes, and who yields is not.
/// Sleeping costs some 15 µs each time, so only a few waits do if that happens rarely, and more if it soon happens again.
constexpr auto kTeamDearYield = microseconds(300);
constexpr int kTeamFewDearWaits = 16;
constexpr int kTeamManyDearWaits = 1'024;
constexpr int kTeamRareAfterYields = 256;
/// Longest sleep: bounds how late a death is noticed.
constexpr int64_t kTeamParkUs = 50'000;

bool isAtLeast(uint32_t value, uint32_t target) { return static_cast<int32_t>(value - target) >= 0; }

}  // namespace

TeamWait::TeamWait(const TeamSegment& segment, const TeamSeat& seat, Liveness& liveness,
                   std::vector<TeamCounters>& counters)
    : segment_(segment),
      seat_(seat),
      liveness_(liveness),
      counters_(counters),
      coreSharing_(segment, static_cast<int>(seat.members.size()), seat.index) {}

std::atomic<uint32_t>& TeamWait::wordOf(int member, TeamWord kind, uint32_t target) const {
  MemberWords& words = segment_.words(member);
  return kind == TeamWord::Call ? words.announcements[target % 2].call : words.progress;
}

bool TeamWait::await(int member, TeamWord kind, uint32_t target) {
  const std::atomic<uint32_t>& word = wordOf(member, kind, target);
  for (int look = 0; look < kTeamFreeLooks; ++look) {
    if (isAtLeast(word.load(std::memory_order_acquire), target)) return true;
    if (seat_.crowded) break;
    relax();
  }
  return awaitLong(member, kind, target);
}

bool TeamWait::awaitAll(TeamWord kind, uint32_t target) {
  const int size = static_cast<int>(seat_.members.size());
  for (int step = 1; step < size; ++step) {
    if (!await((seat_.index + step) % size, kind, target)) return false;
  }
  return true;
}

bool TeamWait::awaitLong(int member, TeamWord kind, uint32_t target) {
  const std::atomic<uint32_t>& word = wordOf(member, kind, target);
  const std::atomic<uint32_t>& left = segment_.words(member).left;
  const Time began = std::chrono::steady_clock::now();
  bool spinning = !seat_.crowded;
  if (spinning) coreSharing_.separateFrom(member, began);
  else coreSharing_.spreadOut(began);
  if (dearWaits_ > 0) --dearWaits_;
  for (uint32_t round = 1; !isAtLeast(word.load(std::memory_order_acquire), target); ++round) {
    // Look again after seeing that it left: its last word may have come between the two looks.
    if (left.load(std::memory_order_acquire) != 0 && !isAtLeast(word.load(std::memory_order_acquire), target)) {
      liveness_.fail(failure("PeerLeft",
                             "rank " + std::to_string(seat_.familyRanks[member]) +
                                 " left the group in order, while this rank still had business with it",
                             seat_.familyRanks[member]));
    }
    if (liveness_.dead()) return false;
    if (spinning) {
      if (round % kTeamLooksPerGlance == 0) spinning = std::chrono::steady_clock::now() - began < kTeamSpinFor;
      relax();
      continue;
    }
    const Time now = std::chrono::steady_clock::now();
    if (seat_.crowded && now - began < kTeamCrowdedSpinFor && !coreIsWanted(kind, target)) {
      relax();
      continue;
    }
    if (dearWaits_ == 0 && now - began < (seat_.crowded ? kTeamCrowdedYieldFor : kTeamYieldFor)) {
      giveWay(now);
      continue;
    }
    giveUpIfLate(member, kind, target, began, now);
    if (!liveness_.dead()) park(member, kind, target, began, now);
  }
  const auto stall = std::chrono::nanoseconds(std::chrono::steady_clock::now() - began).count();
  raiseCounter(counters_[member].stallNs, static_cast<uint64_t>(stall));
  return true;
}

bool TeamWait::coreIsWanted(TeamWord kind, uint32_t target) const {
  for (int member = 0; member < static_cast<int>(seat_.members.size()); ++member) {
    if (member == seat_.index || !coreSharing_.sharesCore(member)) continue;
    if (!isAtLeast(wordOf(member, kind, target).load(std::memory_order_relaxed), target)) return true;
  }
  return false;
}

void TeamWait::giveWay(Time now) {
  sched_yield();
  if (!seat_.crowded) return;
  ++cheapYields_;
  if (std::chrono::steady_clock::now() - now <= kTeamDearYield) return;
  penalty_ = cheapYields_ > kTeamRareAfterYields ? kTeamFewDearWaits : std::min(2 * penalty_, kTeamManyDearWaits);
  dearWaits_ = penalty_;
  cheapYields_ = 0;
}

void TeamWait::park(int member, TeamWord kind, uint32_t target, Time began, Time now) {
  int64_t limitUs = std::min<int64_t>(kTeamParkUs, liveness_.timeoutMs() * 100);
  if (seat_.operationTimeoutMs > 0) {
    const auto end = began + milliseconds(seat_.operationTimeoutMs);
    limitUs = std::clamp<int64_t>(std::chrono::ceil<microseconds>(end - now).count(), 1, limitUs);
  }
  MemberWords& words = segment_.words(member);
  std::atomic<uint32_t>& word = wordOf(member, kind, target);
  // Sequentially consistent, here and in publish(): either we see the word or its owner sees the sleeper.
  words.sleepers.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t seen = word.load(std::memory_order_seq_cst);
  if (!isAtLeast(seen, target) && words.left.load(std::memory_order_seq_cst) == 0) sleepWhile(word, seen, limitUs);
  words.sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void TeamWait::publish(std::atomic<uint32_t>& word, uint32_t value) {
  word.store(value, std::memory_order_seq_cst);
  if (segment_.words(seat_.index).sleepers.load(std::memory_order_seq_cst) != 0) wakeSleepers(word);
}

void TeamWait::leave() {
  MemberWords& own = segment_.words(seat_.index);
  own.left.store(1, std::memory_order_seq_cst);
  for (Announcement& announcement : own.announcements) wakeSleepers(announcement.call);
  wakeSleepers(own.progress);
}

void TeamWait::giveUpIfLate(int member, TeamWord kind, uint32_t target, Time began, Time now) {
  if (liveness_.unwatched() && now - began >= milliseconds(liveness_.timeoutMs())) {
    liveness_.fail(failure("PeerLeft", "rank 0 left the group while others still waited for each other", 0));
  } else if (seat_.operationTimeoutMs > 0 && now - began >= milliseconds(seat_.operationTimeoutMs)) {
    std::string names = std::to_string(seat_.familyRanks[member]);
    for (int other = 0; other < static_cast<int>(seat_.members.size()); ++other) {
      if (other == member || other == seat_.index || isAtLeast(wordOf(other, kind, target).load(), target)) continue;
      names += ", " + std::to_string(seat_.familyRanks[other]);
    }
    liveness_.fail(failure("OperationTimeout",
                           "waited " + std::to_string(seat_.operationTimeoutMs) + " ms for rank " + names +
                               ", which lives but did not take part",
                           seat_.familyRanks[member]));
  }
}

}  // namespace espalier::transport
