#include <cstring>

#include "transport/reduce/kernels.h"
#include "transport/shm/host_team.h"
#include "transport/shm/stream.h"
#include "transport/shm/team_blocks.h"
#include "transport/shm/team_pipeline.h"

namespace espalier::transport {
namespace {

/// Up to here a contribution is copied although it lies in the arena: the copy costs less than the second step, in
/// which its owner hears that it may be overwritten.
constexpr size_t kCopyAnywayBytes = 1024;
/// The same where ranks share cores: there a step takes as long as it takes the others to get the core.
constexpr size_t kCrowdedCopyAnywayBytes = 32 * 1024;
/// Up to here each of three or more ranks reduces everything; beyond it, its block only. Four ranks on two cores
/// break even at 64 KiB.
constexpr size_t kManyWholeBytes = 48 * 1024;
/// From here on, if all buffers are the team's own, each member reduces its block for all of them.
constexpr size_t kShareBytes = 2 * 1024;
/// From here on results bypass the caches, which could not hold them anyway.
constexpr size_t kStreamBytes = 4 * 1024 * 1024;
/// A reduced piece waits in the first-level cache until it has been written to all its targets.
constexpr size_t kPieceInCacheBytes = 4096;
constexpr size_t kLineBytes = 64;
constexpr int kMaxTargets = 66;

constexpr size_t wholeLines(size_t bytes) { return (bytes + kLineBytes - 1) / kLineBytes * kLineBytes; }

}  // namespace

HostTeam::Slice HostTeam::slice(size_t bytes, int members, int index) {
  const auto count = static_cast<size_t>(members);
  const TeamBlocks blocks{bytes, wholeLines((bytes + count - 1) / count), bytes, 0};
  return blocks.range(index, 0);
}

bool HostTeam::allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = headerOf(Operation::AllReduce, count, type);
  header.reduce = op;
  if (!begin(header)) return false;
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  const size_t bytes = header.callBytes;
  const bool copyAnyway = bytes < (seat_.crowded ? kCrowdedCopyAnywayBytes : kCopyAnywayBytes);
  const ArenaOffset inAt = copyAnyway ? kStaged : offsetOf(in, bytes);
  const ArenaOffset outAt = copyAnyway ? kStaged : offsetOf(out, bytes);
  if (bytes <= (size() > 2 ? kManyWholeBytes : wholeBytes(size()))) return reduceWhole(from, to, inAt, outAt);
  const TeamBlocks blocks = evenBlocks(bytes);
  takeChunks(blocks.chunks());
  if (inAt == kStaged) stageBlocks(blocks, from, 0);
  announce(inAt, outAt);
  return meet() && runBlocks(blocks, from, to, true);
}

bool HostTeam::reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = headerOf(Operation::ReduceScatter, count, type);
  header.reduce = op;
  if (!begin(header)) return false;
  TeamBlocks blocks = evenBlocks(header.callBytes * seat_.members.size());
  blocks.strideBytes = header.callBytes;
  blocks.outShift = header.callBytes * static_cast<size_t>(index());
  return reduceScattered(blocks, static_cast<const std::byte*>(in), static_cast<std::byte*>(out));
}

bool HostTeam::reduceSlices(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = headerOf(Operation::AllReduce, count, type);
  header.reduce = op;
  header.piece = 1;
  if (!begin(header)) return false;
  return reduceScattered(evenBlocks(header.callBytes), static_cast<const std::byte*>(in),
                         static_cast<std::byte*>(out));
}

TeamBlocks HostTeam::evenBlocks(size_t bytes) const {
  const size_t ranks = seat_.members.size();
  return {bytes, wholeLines((bytes + ranks - 1) / ranks), chunkBytes(size()) / ranks / kLineBytes * kLineBytes, 0};
}

bool HostTeam::reduceScattered(const TeamBlocks& blocks, const std::byte* in, std::byte* out) {
  // A result that takes the place of another member's block would be written while that one reads it.
  const bool spoilsInput = in == out && blocks.outShift > 0;
  const ArenaOffset inAt = spoilsInput ? kStaged : offsetOf(in, blocks.bytes);
  takeChunks(blocks.chunks());
  if (inAt == kStaged) stageBlocks(blocks, in, 0);
  announce(inAt, kStaged);
  return meet() && runBlocks(blocks, in, out, false);
}

/// Everybody reads all of everybody's contribution: one step if they are staged; a second one, after which they may
/// be overwritten, if some were read where they lie.
bool HostTeam::reduceWhole(const std::byte* in, std::byte* out, ArenaOffset inAt, ArenaOffset outAt) {
  const Header& header = headers_[call_ % 2];
  const size_t bytes = header.callBytes;
  const bool direct = inAt != kStaged;
  takeRing(bytes);
  if (!direct) stage_.copy(whole(index()), in, bytes);
  announce(inAt, outAt);
  if (!meet()) return false;
  if (bytes >= kShareBytes && everyoneIn() && everyoneOut()) {
    return runBlocks(evenBlocks(bytes), in, out, true);
  }
  bool anyDirect = false;
  for (int member = 0; member < size(); ++member) {
    anyDirect |= buffers_[member].in != nullptr;
    inputs_[member] = buffers_[member].in != nullptr ? buffers_[member].in : whole(member);
    if (member != index()) count(member, bytes, bytes);
  }
  inputs_[index()] = in;
  const bool copiesBack = direct && in == out;
  if (copiesBack && scratch_.size() < bytes) scratch_.resize(bytes);
  std::byte* target = copiesBack ? scratch_.data() : out;
  reduceTree(target, inputs_.data(), size(), bytes / elementBytes(header.type), header.type, header.reduce);
  if (!anyDirect) return true;
  publishStep(1);
  if (direct && !awaitStep(1)) return false;
  if (target != out) std::memcpy(out, target, bytes);
  endCall(2);
  return true;
}

/// Each member reduces its block, for itself or (`gather`) for all. In place is safe: a chunk of `out` is overwritten
/// only after whoever reads `in` there has done so.
bool HostTeam::runBlocks(TeamBlocks blocks, const std::byte* in, std::byte* out, bool gather) {
  // With nothing to stage there is nothing to overlap.
  if (everyoneIn() && (!gather || everyoneOut())) blocks.chunkBytes = blocks.strideBytes;
  const bool stages = buffers_[index()].in == nullptr, collects = gather && buffers_[index()].out == nullptr;
  for (int member = 0; member < size(); ++member) {
    if (member == index()) continue;
    const size_t ours = std::min(blocks.strideBytes, blocks.bytes), back = gather ? ours : 0;
    count(member, ours + back, ours + back);
  }
  return pipeline(
      blocks.chunks(), [&](uint32_t number) { if (stages) stageBlocks(blocks, in, number); },
      [&](uint32_t number) { reduceOwn(blocks, in, out, number, gather); },
      [&](uint32_t number) { if (collects) collectBlocks(blocks, out, number); });
}

void HostTeam::stageBlocks(const TeamBlocks& blocks, const std::byte* in, uint32_t number) {
  std::byte* staging = chunk(index(), number);
  for (int step = 1; step < size(); ++step) {
    const int member = (index() + step) % size();
    const Slice part = blocks.range(member, number);
    stage_.copy(staging + static_cast<size_t>(member) * blocks.chunkBytes, in + part.offset, part.bytes);
  }
}

void HostTeam::reduceOwn(const TeamBlocks& blocks, const std::byte* in, std::byte* out, uint32_t number, bool gather) {
  const Slice part = blocks.range(index(), number);
  if (part.bytes == 0) return;
  std::byte* targets[kMaxTargets];
  size_t targetCount = 0;
  targets[targetCount++] = out + (part.offset - blocks.outShift);
  bool fetched = false;
  for (int member = 0; member < size(); ++member) {
    const Buffers& theirs = buffers_[member];
    inputs_[member] = theirs.in != nullptr ? theirs.in + part.offset
                                           : chunk(member, number) + static_cast<size_t>(index()) * blocks.chunkBytes;
    if (!gather || member == index()) continue;
    if (theirs.out != nullptr) targets[targetCount++] = theirs.out + part.offset;
    fetched |= theirs.out == nullptr;
  }
  inputs_[index()] = in + part.offset;
  reduceInto({targets, targetCount}, fetched ? result(index(), number) : nullptr, part.bytes,
             blocks.bytes >= kStreamBytes);
}

/// `inputs_` into all targets, and to `staged` unless that is null. Every input is read before any target is written,
/// piece by piece.
void HostTeam::reduceInto(std::span<std::byte* const> targets, std::byte* staged, size_t bytes, bool stream) {
  const Header& header = headers_[call_ % 2];
  const size_t element = elementBytes(header.type);
  if (targets.size() == 1 && staged == nullptr && !stream) {
    return reduceTree(targets[0], inputs_.data(), size(), bytes / element, header.type, header.reduce);
  }
  alignas(kLineBytes) std::byte reduced[kPieceInCacheBytes];
  for (size_t at = 0; at < bytes; at += kPieceInCacheBytes) {
    const size_t length = std::min(kPieceInCacheBytes, bytes - at);
    reduceTree(reduced, inputs_.data(), size(), length / element, header.type, header.reduce);
    for (std::byte* target : targets) {
      if (stream) streamCopy(target + at, reduced, length);
      else std::memcpy(target + at, reduced, length);
    }
    if (staged != nullptr && stream) streamCopy(staged + at, reduced, length);
    if (staged != nullptr && !stream) stage_.copy(staged + at, reduced, length);
    for (const void*& input : inputs_) input = static_cast<const std::byte*>(input) + length;
  }
  if (stream) streamFence();
}

void HostTeam::collectBlocks(const TeamBlocks& blocks, std::byte* out, uint32_t number) {
  for (int step = 1; step < size(); ++step) {
    const int member = (index() + step) % size();
    const Slice part = blocks.range(member, number);
    if (part.bytes == 0) continue;
    if (blocks.bytes >= kStreamBytes) streamCopy(out + part.offset, result(member, number), part.bytes);
    else std::memcpy(out + part.offset, result(member, number), part.bytes);
  }
}

}  // namespace espalier::transport
