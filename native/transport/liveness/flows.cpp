#include "transport/liveness/flows.h"

#include <algorithm>

namespace espalier::transport {
namespace {

/// Longest time that one look vouches for. Looks are at most a sleep of 50 ms apart while a rank waits and runs.
constexpr auto kLookSpan = std::chrono::milliseconds(100);
constexpr uint64_t kBeatsOfProof = 3;
/// What fits into one frame with room to spare; a family has rarely a hundred.
constexpr size_t kMaxReports = 1'500;

}  // namespace

Flows::Flows(uint64_t groupId, std::vector<int> familyRanks)
    : groupId_(groupId), familyRanks_(std::move(familyRanks)), peers_(familyRanks_.size()) {}

void Flows::waitsIn(const Header& call) {
  const std::lock_guard lock(callsMutex_);
  call_ = call;
}

Header Flows::call() const {
  const std::lock_guard lock(callsMutex_);
  return call_;
}

Flows::Standing Flows::standingOf(int peer) const {
  const std::lock_guard lock(callsMutex_);
  return peers_[static_cast<size_t>(peer)].standing;
}

bool Flows::lost(int peer, uint64_t bytesHeard, Deadline now, std::chrono::milliseconds patience) {
  Peer& from = peers_[peer];
  const uint64_t heard = from.announcements.load(std::memory_order_acquire);
  const bool behind = from.announced.load(std::memory_order_relaxed) > from.arrived;
  if (!behind || from.arrived != from.arrivedAtLook || bytesHeard != from.bytesAtLook) {
    from.missing = {};
    from.heardAtLook = heard;
  } else {
    from.missing += std::min<std::chrono::nanoseconds>(now - from.lastLook, kLookSpan);
  }
  from.arrivedAtLook = from.arrived;
  from.bytesAtLook = bytesHeard;
  from.lastLook = now;
  return from.missing >= patience && heard - from.heardAtLook >= kBeatsOfProof;
}

uint64_t Flows::reportFor(int peer) {
  Peer& to = peers_[peer];
  const uint64_t tries = to.tries.load(std::memory_order_relaxed);
  const bool trying = tries != to.triesReported;
  to.triesReported = tries;
  return to.done.load(std::memory_order_relaxed) + (trying ? 1 : 0);
}

void Flows::announce(int familyRank, const Standing& standing) {
  const auto found = std::find(familyRanks_.begin(), familyRanks_.end(), familyRank);
  if (found == familyRanks_.end()) return;
  Peer& from = peers_[static_cast<size_t>(found - familyRanks_.begin())];
  from.announced.store(standing.sent, std::memory_order_relaxed);
  from.announcements.fetch_add(1, std::memory_order_release);
  const std::lock_guard lock(callsMutex_);
  from.standing = standing;
}

void writeReports(ByteWriter& writer, const std::vector<FlowReport>& reports) {
  const size_t count = std::min(reports.size(), kMaxReports);
  writer.put(static_cast<uint16_t>(count));
  for (size_t i = 0; i < count; ++i) {
    writer.put(reports[i].groupId);
    writer.put(reports[i].from);
    writer.put(reports[i].to);
    writer.put(reports[i].standing.sent);
    writer.put(reports[i].awaits);
    writer.put(reports[i].begun);
    const Header& call = reports[i].standing.call;
    for (const auto byte : {static_cast<uint8_t>(call.operation), static_cast<uint8_t>(call.type),
                            static_cast<uint8_t>(call.reduce), call.root}) {
      writer.put(byte);
    }
    writer.put(call.sequence);
    writer.put(call.callBytes);
  }
}

std::vector<FlowReport> readReports(ByteView bytes) {
  ByteReader reader(bytes);
  std::vector<FlowReport> reports(std::min<size_t>(reader.get<uint16_t>(), kMaxReports));
  for (FlowReport& report : reports) {
    report.groupId = reader.get<uint64_t>();
    report.from = reader.get<uint8_t>();
    report.to = reader.get<uint8_t>();
    report.standing.sent = reader.get<uint64_t>();
    report.awaits = reader.get<uint32_t>();
    report.begun = reader.get<uint32_t>();
    Header& call = report.standing.call;
    call.operation = static_cast<Operation>(reader.get<uint8_t>());
    call.type = static_cast<DataType>(reader.get<uint8_t>());
    call.reduce = static_cast<ReduceOp>(reader.get<uint8_t>());
    call.root = reader.get<uint8_t>();
    call.sequence = reader.get<uint32_t>();
    call.callBytes = reader.get<uint64_t>();
  }
  if (!reader.ok()) reports.clear();
  return reports;
}

void FlowBook::add(const std::shared_ptr<Flows>& flows) {
  const std::lock_guard lock(mutex_);
  std::erase_if(all_, [](const std::weak_ptr<Flows>& old) { return old.expired(); });
  all_.push_back(flows);
}

std::vector<FlowReport> FlowBook::reportsOf(int familyRank) {
  std::vector<FlowReport> reports;
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Flows>& one : all_) {
    const std::shared_ptr<Flows> flows = one.lock();
    if (!flows) continue;
    const std::vector<int>& ranks = flows->familyRanks();
    const int size = static_cast<int>(ranks.size());
    // What a rank waits in, or for, before all of its counts: what was sent before the wait is then among them.
    const Header call = flows->call();
    std::vector<uint32_t> awaits;
    for (int peer = 0; peer < size; ++peer) awaits.push_back(flows->awaitedFrom(peer));
    const bool waits = call.operation != Operation::Goodbye ||
                       std::any_of(awaits.begin(), awaits.end(), [](uint32_t send) { return send != 0; });
    for (int peer = 0; peer < size; ++peer) {
      const uint64_t sent = flows->reportFor(peer);
      if ((sent == 0 && !waits) || ranks[peer] == familyRank) continue;
      reports.push_back({flows->groupId(), static_cast<uint8_t>(familyRank), static_cast<uint8_t>(ranks[peer]),
                         {call, sent}, awaits[static_cast<size_t>(peer)], flows->begunTo(peer)});
    }
  }
  return reports;
}

void FlowBook::take(const FlowReport& report) {
  const std::lock_guard lock(mutex_);
  for (const std::weak_ptr<Flows>& one : all_) {
    const std::shared_ptr<Flows> flows = one.lock();
    if (flows && flows->groupId() == report.groupId) flows->announce(report.from, report.standing);
  }
}

uint64_t splitGroupId(uint64_t parentId, uint64_t splitNumber, int color) {
  uint64_t id = 0xcbf29ce484222325;  // FNV-1a over the three, word by word
  for (const uint64_t word : {parentId, splitNumber, static_cast<uint64_t>(static_cast<uint32_t>(color))}) {
    id = (id ^ word) * 0x100000001b3;
    id ^= id >> 32;  // a multiplication alone would not carry high bits down
  }
  return id;
}

}  // namespace espalier::transport
