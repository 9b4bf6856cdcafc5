#include "transport/shm/host_team.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "transport/failure.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

constexpr size_t kArenaAlignBytes = 64;
constexpr size_t kArenaPageBytes = 4096;
constexpr auto kRingSlots = static_cast<uint32_t>(ringBytes(2) / chunkBytes(2));

}  // namespace

HostTeam::HostTeam(TeamSegment segment, TeamSeat seat, std::shared_ptr<Liveness> liveness)
    : segment_(std::move(segment)),
      seat_(std::move(seat)),
      liveness_(std::move(liveness)),
      counters_(seat_.members.size()),
      wait_(segment_, seat_, *liveness_, counters_),
      call_(segment_.words(seat_.index).announcements[1].call),
      base_(segment_.words(seat_.index).progress),
      met_(seat_.members.size(), call_),
      buffers_(seat_.members.size()),
      inputs_(seat_.members.size()) {}

HostTeam::~HostTeam() {
  if (!liveness_->dead()) wait_.leave();
}

Header HostTeam::headerOf(Operation operation, size_t count, DataType type) const {
  Header header;
  header.operation = operation;
  header.type = type;
  header.callBytes = count * elementBytes(type);
  return header;
}

ArenaOffset HostTeam::offsetOf(const void* data, size_t bytes) const {
  const auto* from = static_cast<const std::byte*>(data);
  const std::byte* arena = segment_.arena(index());
  if (bytes == 0 || from < arena || from >= arena + segment_.arenaBytes()) return kStaged;
  return static_cast<ArenaOffset>(from - arena);
}

bool HostTeam::begin(const Header& header) {
  const uint32_t last = call_++;
  for (int step = 1; step < size(); ++step) {
    if (!meetOne((index() + step) % size(), last)) return false;
  }
  headers_[call_ % 2] = header;
  headers_[call_ % 2].sequence = call_;
  return true;
}

void HostTeam::announce(ArenaOffset in, ArenaOffset out) {
  Announcement& own = segment_.words(index()).announcements[call_ % 2];
  own.in = in;
  own.out = out;
  own.header = headers_[call_ % 2];
  wait_.publish(own.call, call_);
  std::byte* arena = segment_.arena(index());
  buffers_[index()] = {in == kStaged ? nullptr : arena + in, out == kStaged ? nullptr : arena + out};
}

bool HostTeam::meet() {
  for (int step = 1; step < size(); ++step) {
    if (!meetOne((index() + step) % size(), call_)) return false;
  }
  return true;
}

bool HostTeam::meetOne(int member, uint32_t call) {
  if (met_[member] == call) return true;
  if (!wait_.await(member, TeamWord::Call, call)) return false;
  met_[member] = call;
  const Announcement& theirs = segment_.words(member).announcements[call % 2];
  if (theirs.header == headers_[call % 2]) {
    std::byte* arena = segment_.arena(member);
    buffers_[member] = {theirs.in == kStaged ? nullptr : arena + theirs.in,
                        theirs.out == kStaged ? nullptr : arena + theirs.out};
    return true;
  }
  const std::string other = std::to_string(seat_.familyRanks[member]);
  const std::string self = std::to_string(seat_.familyRanks[index()]);
  liveness_->fail(failure("PeerMismatch",
                          "rank " + other + " called " + describeCall(theirs.header) + " where rank " + self +
                              " called " + describeCall(headers_[call % 2]) + "; all ranks must make the same calls",
                          seat_.familyRanks[member]));
  return false;
}

std::string HostTeam::aheadWith(int member) const {
  const Announcement& next = segment_.words(member).announcements[(call_ + 1) % 2];
  return next.call.load(std::memory_order_acquire) == call_ + 1 ? describeCall(next.header) : "";
}

/// The last call's part of the ring may still be read, the one before that no more: begin() saw to it. A call takes a
/// quarter of the ring at most, so starting over at its beginning does not meet the last one.
void HostTeam::takeRing(size_t bytes) {
  if (ringAt_ + bytes > ringBytes(size())) ringAt_ = 0;
  wholeAt_ = ringAt_;
  ringAt_ = std::min((ringAt_ + bytes + kArenaAlignBytes - 1) / kArenaAlignBytes * kArenaAlignBytes, ringBytes(size()));
}

void HostTeam::takeChunks(uint32_t chunks) {
  const size_t bytes = chunkBytes(size());
  firstSlot_ = static_cast<uint32_t>((ringAt_ + bytes - 1) / bytes) % kRingSlots;
  ringAt_ = (firstSlot_ + 2 * chunks) % kRingSlots * bytes;
}

std::byte* HostTeam::slot(int member, uint32_t number) const {
  return segment_.ring(member) + (firstSlot_ + number) % kRingSlots * chunkBytes(size());
}

void HostTeam::publishStep(uint32_t step) { wait_.publish(segment_.words(index()).progress, base_ + step); }

bool HostTeam::awaitStep(uint32_t step) { return wait_.awaitAll(TeamWord::Progress, base_ + step); }

bool HostTeam::everyoneIn() const {
  return std::all_of(buffers_.begin(), buffers_.end(), [](const Buffers& one) { return one.in != nullptr; });
}

bool HostTeam::everyoneOut() const {
  return std::all_of(buffers_.begin(), buffers_.end(), [](const Buffers& one) { return one.out != nullptr; });
}

void HostTeam::count(int member, size_t sent, size_t received) {
  raiseCounter(counters_[member].bytesSent, sent);
  raiseCounter(counters_[member].bytesReceived, received);
}

void* HostTeam::allocate(size_t bytes) {
  const std::lock_guard lock(arenaMutex_);
  // Large buffers begin on a page of their own, so that two of them never share a line that two cores write.
  const size_t align = bytes >= kArenaPageBytes ? kArenaPageBytes : kArenaAlignBytes;
  const size_t begin = (arenaUsed_ + align - 1) / align * align;
  if (begin > segment_.arenaBytes() || bytes > segment_.arenaBytes() - begin) return nullptr;
  arenaUsed_ = begin + bytes;
  return segment_.arena(index()) + begin;
}

}  // namespace espalier::transport
