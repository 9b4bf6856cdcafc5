#include "transport/collectives/collectives.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {

int Collectives::atPlace(int place) const {
  const int count = mesh_.size();
  return cabling_.ring[static_cast<size_t>(((place % count) + count) % count)];
}

/// Walks through steps × pieces. What a step sends is what the step before received, piece by piece; with two pieces
/// and more, the next one is on its way while one is worked on.
template <class Send, class Receive, class Take>
Status Collectives::aroundRing(uint32_t steps, uint32_t pieces, Send send, Receive receive, Take take) {
  const bool ahead = pieces > 1;
  const uint32_t total = steps * pieces;
  clear();
  if (ahead) send(0, 0);
  for (uint32_t turn = 0; turn < total; ++turn) {
    const uint32_t next = ahead ? turn + 1 : turn;
    if (next < total) send(next / pieces, next % pieces);
    receive(turn / pieces, turn % pieces);
    const Status status = run();
    if (!status.ok()) return status;
    take(turn / pieces, turn % pieces);
    clear();
  }
  return Status::success();
}

Status Collectives::passAround(const Header& header, const BlockAddress& blockOf, const Blocks& blocks) {
  const int count = mesh_.size(), place = places_[mesh_.rank()];
  const int right = atPlace(place + 1), left = atPlace(place - 1);
  const int steps = count / 2, backSteps = (count - 1) / 2;
  const uint32_t pieces = blocks.pieces();
  const auto sendBlock = [&](int peer, int owner, int step, uint32_t piece) {
    const Blocks::Range range = blocks.piece(owner, piece), start = blocks.block(owner);
    sendTo(peer, pieceOf(header, step * pieces + piece, range.length), blockOf(owner) + (range.offset - start.offset));
  };
  const auto receiveBlock = [&](int peer, int owner, int step, uint32_t piece) {
    const Blocks::Range range = blocks.piece(owner, piece), start = blocks.block(owner);
    receiveFrom(peer, pieceOf(header, step * pieces + piece, range.length),
                blockOf(owner) + (range.offset - start.offset));
  };
  return aroundRing(
      static_cast<uint32_t>(steps), pieces,
      [&](int step, uint32_t piece) {
        sendBlock(right, atPlace(place - step), step, piece);
        if (step < backSteps) sendBlock(left, atPlace(place + step), step, piece);
      },
      [&](int step, uint32_t piece) {
        receiveBlock(left, atPlace(place - step - 1), step, piece);
        if (step < backSteps) receiveBlock(right, atPlace(place + step + 1), step, piece);
      },
      [&](int, uint32_t) { takeReceived(); });
}

/// One half of each block travels either way, and every rank on its way adds its own to it.
Status Collectives::reduceAround(const Header& header, const std::byte* in, const BlockAddress& blockOf,
                                 const Blocks& blocks) {
  const int place = places_[mesh_.rank()];
  const int neighbours[2] = {atPlace(place + 1), atPlace(place - 1)};
  const uint32_t pieces = blocks.piecesOfHalf();
  const auto ownerAt = [&](int half, int step) { return atPlace(half == 0 ? place - 1 - step : place + 1 + step); };
  return aroundRing(
      static_cast<uint32_t>(mesh_.size() - 1), pieces,
      [&](int step, uint32_t piece) {
        for (int half = 0; half < 2; ++half) {
          const int owner = ownerAt(half, step);
          const Blocks::Range range = blocks.pieceOfHalf(owner, half, piece);
          const std::byte* from =
              step == 0 ? in + range.offset : blockOf(owner) + (range.offset - blocks.block(owner).offset);
          sendTo(neighbours[half], pieceOf(header, step * pieces + piece, range.length), from);
        }
      },
      [&](int step, uint32_t piece) {
        for (int half = 0; half < 2; ++half) {
          const Blocks::Range range = blocks.pieceOfHalf(ownerAt(half, step + 1), half, piece);
          receiveFrom(neighbours[1 - half], pieceOf(header, step * pieces + piece, range.length));
        }
      },
      [&](int step, uint32_t piece) {
        for (int half = 0; half < 2; ++half) {
          const int owner = ownerAt(half, step + 1);
          const Blocks::Range range = blocks.pieceOfHalf(owner, half, piece);
          reducePair(blockOf(owner) + (range.offset - blocks.block(owner).offset), incoming_[half].payload,
                     in + range.offset, range.length / elementBytes(header.type), header.type, header.reduce);
        }
        mesh_.release(incoming_);
      });
}

Status Collectives::reduceByPassing(const Header& header, const std::byte* in, std::byte* out) {
  const size_t bytes = header.callBytes;
  const int self = mesh_.rank();
  const Blocks blocks = Blocks::of(bytes, mesh_.size(), mesh_.pieceBytes());
  scratch_.resize(bytes * static_cast<size_t>(mesh_.size()));
  const BlockAddress blockOf = [&](int rank) {
    // Nothing is ever written to the own block.
    return rank == self ? const_cast<std::byte*>(in) : scratch_.data() + blocks.block(rank).offset;
  };
  const Status status = passAround(header, blockOf, blocks);
  if (!status.ok()) return status;
  for (int rank = 0; rank < mesh_.size(); ++rank) inputs_[rank] = blockOf(rank);
  reduceTree(out, inputs_.data(), mesh_.size(), bytes / elementBytes(header.type), header.type, header.reduce);
  return status;
}

Status Collectives::reduceByRing(const Header& header, const std::byte* in, std::byte* out) {
  const Blocks blocks = Blocks::cut(header.callBytes, mesh_.size(), mesh_.pieceBytes());
  const BlockAddress blockOf = [&](int rank) { return out + blocks.block(rank).offset; };
  const Status status = reduceAround(header, in, blockOf, blocks);
  return status.ok() ? passAround(header, blockOf, blocks) : status;
}

}  // namespace espalier::transport
