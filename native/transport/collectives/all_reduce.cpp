#include <algorithm>
#include <cstring>

#include "transport/collectives/collectives.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

/// Up to here every rank sends all it has to every other: one step, which is all that matters when a step costs
/// more than the bytes. Beyond it, reduce-scatter and all-gather: two steps, 2/n of the bytes per pair.
/// Where the two meet with two ranks over TCP; on shared memory they cost the same (docs/transport.md, "Choice of
/// algorithm").
constexpr size_t kDirectBytes = 64 * 1024;

/// Blocks start on cache lines, whatever the element.
constexpr size_t kBlockAlignBytes = 64;

}  // namespace

Status Collectives::allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = open(Operation::AllReduce, count, type);
  header.reduce = op;
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  const size_t bytes = header.callBytes;
  return bytes <= kDirectBytes ? reduceByExchange(header, from, to, bytes) : reduceByBlocks(header, from, to, bytes);
}

Status Collectives::reduceByExchange(Header header, const std::byte* in, std::byte* out, size_t bytes) {
  static_assert(kDirectBytes <= kPieceBytes, "one message carries it");
  header.pieceBytes = static_cast<uint32_t>(bytes);
  clear();
  swapWithAll(header, in);
  const Status status = run();
  if (status.ok()) reduceReceived(in, out, header);
  return status;
}

/// Rank r reduces block r. A block is cut into pieces, and the pieces of both phases are interleaved: while a
/// reduced piece travels back, the next one is on its way in. In place is safe: a piece of `out` is overwritten only
/// after its owner has received ours.
Status Collectives::reduceByBlocks(Header header, const std::byte* in, std::byte* out, size_t bytes) {
  const auto ranks = static_cast<size_t>(mesh_.size());
  const size_t perRank = (bytes + ranks - 1) / ranks;
  const size_t blockBytes = (perRank + kBlockAlignBytes - 1) / kBlockAlignBytes * kBlockAlignBytes;
  const size_t pieceBytes = mesh_.pieceBytes();
  const auto pieces = static_cast<uint32_t>((blockBytes + pieceBytes - 1) / pieceBytes);

  struct Range {
    size_t offset, length;
  };
  const auto rangeOf = [&](int rank, uint32_t piece) {
    const size_t begin = std::min(rank * blockBytes + piece * pieceBytes, bytes);
    const size_t end = std::min({begin + pieceBytes, (rank + 1) * blockBytes, bytes});
    return Range{begin, end > begin ? end - begin : 0};
  };
  // Even piece numbers on the wire travel in, odd ones back.
  const auto headerOf = [&](uint32_t number, size_t length) {
    Header piece = header;
    piece.piece = number;
    piece.pieceBytes = static_cast<uint32_t>(length);
    return piece;
  };
  const auto scatter = [&](uint32_t piece) {
    for (int step = 1; step < mesh_.size() && piece < pieces; ++step) {
      const int peer = (mesh_.rank() + step) % mesh_.size();
      const Range range = rangeOf(peer, piece);
      sendTo(peer, headerOf(2 * piece, range.length), in + range.offset);
    }
  };

  clear();
  scatter(0);
  for (uint32_t piece = 0; piece <= pieces; ++piece) {
    // On the wire: in 0, in 1, back 0, in 2, back 1, ... Peers take them in that order.
    if (piece > 0) {
      const Range reduced = rangeOf(mesh_.rank(), piece - 1);
      sendToAll(headerOf(2 * (piece - 1) + 1, reduced.length), out + reduced.offset);
    }
    scatter(piece + 1);
    if (piece < pieces) {
      const Range own = rangeOf(mesh_.rank(), piece);
      const Header inward = headerOf(2 * piece, own.length);
      for (int step = 1; step < mesh_.size(); ++step) receiveFrom((mesh_.rank() + step) % mesh_.size(), inward);
      const Status status = run();
      if (!status.ok()) return status;
      reduceReceived(in + own.offset, out + own.offset, inward);
      clear();
    }
    if (piece == 0) continue;
    for (int step = 1; step < mesh_.size(); ++step) {
      const int peer = (mesh_.rank() + step) % mesh_.size();
      const Range range = rangeOf(peer, piece - 1);
      receiveFrom(peer, headerOf(2 * (piece - 1) + 1, range.length), out + range.offset);
    }
    const Status status = run();
    if (!status.ok()) return status;
    for (const Incoming& received : incoming_) received.settle();
    mesh_.release(incoming_);
    clear();
  }
  return Status::success();
}

}  // namespace espalier::transport
