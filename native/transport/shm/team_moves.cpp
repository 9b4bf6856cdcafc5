#include <cstring>

#include "transport/shm/host_team.h"
#include "transport/shm/team_blocks.h"
#include "transport/shm/team_pipeline.h"

namespace espalier::transport {

bool HostTeam::barrier(Operation operation) {
  if (!begin(headerOf(operation, 0, DataType::Uint8))) return false;
  announce(kStaged, kStaged);
  return meet();
}

bool HostTeam::allGather(const void* in, void* out, size_t count, DataType type) {
  if (!begin(headerOf(Operation::AllGather, count, type))) return false;
  const size_t bytes = headers_[call_ % 2].callBytes;
  return gatherByChunks(static_cast<const std::byte*>(in), static_cast<std::byte*>(out), bytes);
}

bool HostTeam::gatherSlices(void* data, size_t count, DataType type) {
  Header header = headerOf(Operation::AllReduce, count, type);
  header.piece = 2;
  if (!begin(header)) return false;
  auto* bytes = static_cast<std::byte*>(data);
  const Slice own = slice(header.callBytes, size(), index());
  return gatherByChunks(bytes + own.offset, bytes, slice(header.callBytes, size(), 0).bytes);
}

/// Member i's block lies at i × stride of a vector that ends with the last one's.
bool HostTeam::gatherByChunks(const std::byte* in, std::byte* out, size_t stride) {
  const Header& header = headers_[call_ % 2];
  const size_t ranks = seat_.members.size();
  const bool sliced = header.operation == Operation::AllReduce;
  const bool atOnce = stride <= wholeBytes(size());
  const TeamBlocks blocks{sliced ? header.callBytes : stride * ranks, stride, atOnce ? stride : chunkBytes(size()), 0};
  const Slice own = blocks.range(index(), 0);
  const Slice mine = {own.offset, std::min(stride, blocks.bytes - own.offset)};
  if (mine.bytes > 0 && out + mine.offset != in) std::memcpy(out + mine.offset, in, mine.bytes);
  // What others read where it lies must not be where their blocks come.
  const bool isSpoilt = in == out && mine.offset > 0;
  const ArenaOffset at = atOnce || isSpoilt ? kStaged : offsetOf(in, mine.bytes);
  const auto stage = [&](uint32_t number) {
    const Slice part = blocks.range(index(), number);
    if (at == kStaged && part.bytes > 0) {
      stage_.copy(chunk(index(), number), in + (part.offset - own.offset), part.bytes);
    }
  };
  const auto fetch = [&](uint32_t number) {
    for (int step = 1; step < size(); ++step) {
      const int member = (index() + step) % size();
      const Slice part = blocks.range(member, number);
      const std::byte* theirs = buffers_[member].in;
      const std::byte* from = theirs != nullptr ? theirs + number * blocks.chunkBytes : chunk(member, number);
      if (part.bytes > 0) std::memcpy(out + part.offset, from, part.bytes);
    }
  };
  for (int member = 0; member < size(); ++member) {
    if (member != index()) count(member, mine.bytes, std::min(stride, blocks.bytes));
  }
  if (atOnce) {
    takeRing(stride);
    stage_.copy(whole(index()), in, mine.bytes);
    announce(kStaged, kStaged);
    if (!meet()) return false;
    for (int member = 0; member < size(); ++member) {
      const Slice part = blocks.range(member, 0);
      if (member != index() && part.bytes > 0) std::memcpy(out + part.offset, whole(member), part.bytes);
    }
    return true;
  }
  takeChunks(blocks.chunks());
  stage(0);
  announce(at, kStaged);
  return meet() && pipeline(blocks.chunks(), stage, fetch, [](uint32_t) {});
}

/// A short one is left behind for the others: the root does not wait for them.
bool HostTeam::broadcast(void* data, size_t count, DataType type, int root) {
  Header header = headerOf(Operation::Broadcast, count, type);
  header.root = static_cast<uint8_t>(seat_.members[root]);
  if (!begin(header)) return false;
  auto* bytes = static_cast<std::byte*>(data);
  const TeamBlocks blocks{header.callBytes, header.callBytes, chunkBytes(size()), 0};
  const bool isRoot = index() == root;
  for (int member = 0; member < size(); ++member) {
    if (isRoot && member != root) this->count(member, header.callBytes, 0);
    if (!isRoot && member == root) this->count(root, 0, header.callBytes);
  }
  if (header.callBytes <= wholeBytes(size())) {
    takeRing(header.callBytes);
    if (isRoot) stage_.copy(whole(root), data, header.callBytes);
    announce(kStaged, kStaged);
    if (isRoot) return true;
    if (!meetOne(root, call_)) return false;
    if (header.callBytes > 0) std::memcpy(data, whole(root), header.callBytes);
    return true;
  }
  const ArenaOffset at = isRoot ? offsetOf(data, header.callBytes) : kStaged;
  const auto stage = [&](uint32_t number) {
    const Slice part = blocks.range(0, number);
    if (isRoot && at == kStaged) stage_.copy(chunk(root, number), bytes + part.offset, part.bytes);
  };
  takeChunks(blocks.chunks());
  stage(0);
  announce(at, kStaged);
  if (!meet()) return false;
  return pipeline(
      blocks.chunks(), stage,
      [&](uint32_t number) {
        if (isRoot) return;
        const Slice part = blocks.range(0, number);
        const std::byte* theirs = buffers_[root].in;
        std::memcpy(bytes + part.offset, theirs != nullptr ? theirs + part.offset : chunk(root, number),
                    part.bytes);
      },
      [](uint32_t) {});
}

}  // namespace espalier::transport
