#include "transport/collectives/collectives.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

/// Pieces of a rank's share between two steps of a hierarchy: enough to make a step's start cheap, few enough to stay
/// in the cache.
constexpr size_t kPiecesPerRound = 4;

/// Whether the bits do not depend on the order. Those of a maximum of floats can: there are two zeros, and many NaNs.
bool anyOrderWillDo(DataType type) {
  return type != DataType::Float32 && type != DataType::Float16 && type != DataType::BFloat16 &&
         type != DataType::Complex64;
}

}  // namespace

Status Collectives::allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = open(Operation::AllReduce, count, type);
  header.reduce = op;
  const Plan::Table& table = anyOrderWillDo(type) ? plan_.anyOrder : plan_.ordered;
  const Choice& choice = table.at(header.callBytes);
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  const bool once = choice.algorithm == Algorithm::Exchange && mesh_.size() == 2 && header.callBytes <= mesh_.pieceBytes();
  if (!once) return reduceBy(choice, header, from, to);
  header.pieceBytes = static_cast<uint32_t>(header.callBytes);
  return exchangeOnce(header, from, to, count);
}

Status Collectives::reduceBy(const Choice& choice, const Header& header, const std::byte* in, std::byte* out) {
  switch (choice.algorithm) {
    case Algorithm::Exchange: return exchangeLevels(choice.levels, header, in, out);
    case Algorithm::Blocks: return reduceByBlocks(everybody_, header, in, out, header.callBytes);
    case Algorithm::Hierarchy: return reduceByHierarchy(choice.levels, header, in, out);
    case Algorithm::PassAround: return reduceByPassing(header, in, out);
    case Algorithm::Ring: return reduceByRing(header, in, out);
  }
  return Status::success();
}

Status Collectives::exchangeLevels(const Levels& levels, const Header& header, const std::byte* in, std::byte* out) {
  if (levels.count == 1) return exchangeIn(everybody_, header, in, out, header.callBytes);
  Status status;
  for (int level = 0; level < levels.count && status.ok(); ++level) {
    if (level == 0 && team_ != nullptr && header.operation == Operation::AllReduce) {
      const size_t count = header.callBytes / elementBytes(header.type);
      status = fromTeam(team_->allReduce(in, out, count, header.type, header.reduce));
    } else {
      status = exchangeIn(teamOf(mesh_.rank(), levels, level), header, level == 0 ? in : out, out, header.callBytes);
    }
  }
  return status;
}

/// The shortest way for the shortest messages: a decode step on two ranks.
inline Status Collectives::exchangeOnce(const Header& header, const std::byte* in, std::byte* out, size_t count) {
  const int peer = 1 - mesh_.rank();
  const std::byte* theirs = nullptr;
  Status status = mesh_.exchange(peer, header, in, theirs);
  if (!status.ok()) return status;
  reducePair(out, peer == 0 ? theirs : in, peer == 0 ? in : theirs, count, header.type, header.reduce);
  mesh_.release(peer);
  return status;
}

/// The next piece is on its way while one is reduced. In place is safe: a piece of `out` is written after ours of it
/// has gone.
Status Collectives::exchangeIn(const Team& team, const Header& header, const std::byte* in, std::byte* out,
                               size_t bytes) {
  const Blocks all = Blocks::of(bytes, 1, mesh_.pieceBytes());
  const auto send = [&](uint32_t piece) {
    const Blocks::Range range = all.piece(0, piece);
    const Header outward = pieceOf(header, piece, range.length);
    for (int step = 1; step < team.size(); ++step) sendTo(team.peer(step), outward, in + range.offset);
  };
  clear();
  send(0);
  for (uint32_t piece = 0; piece < all.pieces(); ++piece) {
    if (piece + 1 < all.pieces()) send(piece + 1);
    const Blocks::Range range = all.piece(0, piece);
    const Header expected = pieceOf(header, piece, range.length);
    for (int step = 1; step < team.size(); ++step) receiveFrom(team.peer(step), expected);
    const Status status = run();
    if (!status.ok()) return status;
    reduceReceived(team, in + range.offset, out + range.offset, expected);
    clear();
  }
  return Status::success();
}

/// The member at place r reduces block r. The pieces of both phases are interleaved: while a reduced piece travels
/// back, the next one is on its way in. In place is safe: a piece of `out` is overwritten only after its owner has
/// received ours.
Status Collectives::reduceByBlocks(const Team& team, const Header& header, const std::byte* in, std::byte* out,
                                   size_t bytes) {
  const Blocks blocks = Blocks::cut(bytes, team.size(), mesh_.pieceBytes());
  const uint32_t pieces = blocks.pieces();
  const auto placeAt = [&](int step) { return (team.self + step) % team.size(); };
  const auto scatter = [&](uint32_t piece) {
    for (int step = 1; step < team.size() && piece < pieces; ++step) {
      const Blocks::Range range = blocks.piece(placeAt(step), piece);
      sendTo(team.peer(step), pieceOf(header, 2 * piece, range.length), in + range.offset);
    }
  };
  clear();
  scatter(0);
  for (uint32_t piece = 0; piece <= pieces; ++piece) {
    // On the wire: in 0, in 1, back 0, in 2, back 1, ... Peers take them in that order. Even numbers travel in.
    if (piece > 0) {
      const Blocks::Range reduced = blocks.piece(team.self, piece - 1);
      const Header back = pieceOf(header, 2 * piece - 1, reduced.length);
      for (int step = 1; step < team.size(); ++step) sendTo(team.peer(step), back, out + reduced.offset);
    }
    scatter(piece + 1);
    if (piece < pieces) {
      const Blocks::Range own = blocks.piece(team.self, piece);
      const Header inward = pieceOf(header, 2 * piece, own.length);
      for (int step = 1; step < team.size(); ++step) receiveFrom(team.peer(step), inward);
      const Status status = run();
      if (!status.ok()) return status;
      reduceReceived(team, in + own.offset, out + own.offset, inward);
      clear();
    }
    if (piece == 0) continue;
    for (int step = 1; step < team.size(); ++step) {
      const Blocks::Range range = blocks.piece(placeAt(step), piece - 1);
      receiveFrom(team.peer(step), pieceOf(header, 2 * piece - 1, range.length), out + range.offset);
    }
    const Status status = run();
    if (!status.ok()) return status;
    takeReceived();
    clear();
  }
  return Status::success();
}

/// Round by round, so that what one step leaves is still in the cache for the next.
Status Collectives::reduceByHierarchy(const Levels& levels, const Header& header, const std::byte* in,
                                      std::byte* out) {
  const Team host = teamOf(mesh_.rank(), levels, 0), cross = teamOf(mesh_.rank(), levels, 1);
  const size_t roundBytes = kPiecesPerRound * mesh_.pieceBytes() * static_cast<size_t>(host.size());
  Status status;
  size_t offset = 0;
  do {
    const size_t bytes = std::min<size_t>(header.callBytes - offset, roundBytes);
    std::byte* const result = out + offset;
    if (team_ != nullptr) {
      const size_t count = bytes / elementBytes(header.type);
      const HostTeam::Slice own = HostTeam::slice(bytes, host.size(), host.self);
      status = fromTeam(team_->reduceSlices(in + offset, result, count, header.type, header.reduce));
      if (status.ok()) status = reduceAcross(cross, header, result + own.offset, own.bytes);
      if (status.ok()) status = fromTeam(team_->gatherSlices(result, count, header.type));
    } else {
      const Blocks blocks = Blocks::cut(bytes, host.size(), mesh_.pieceBytes());
      const Blocks::Range own = blocks.block(host.self);
      status = scatterIn(host, header, in + offset, result + own.offset, blocks);
      if (status.ok()) status = reduceAcross(cross, header, result + own.offset, own.length);
      if (status.ok()) status = gatherIn(host, header, result, blocks);
    }
    offset += bytes;
  } while (status.ok() && offset < header.callBytes);
  return status;
}

Status Collectives::reduceAcross(const Team& cross, const Header& header, std::byte* share, size_t bytes) {
  return cross.size() == 2 ? exchangeIn(cross, header, share, share, bytes)
                           : reduceByBlocks(cross, header, share, share, bytes);
}

Status Collectives::scatterIn(const Team& team, const Header& header, const std::byte* in, std::byte* share,
                              const Blocks& blocks) {
  const size_t start = blocks.block(team.self).offset;
  for (uint32_t piece = 0; piece < blocks.pieces(); ++piece) {
    clear();
    const Blocks::Range own = blocks.piece(team.self, piece);
    const Header inward = pieceOf(header, piece, own.length);
    for (int step = 1; step < team.size(); ++step) {
      const Blocks::Range range = blocks.piece((team.self + step) % team.size(), piece);
      sendTo(team.peer(step), pieceOf(header, piece, range.length), in + range.offset);
      receiveFrom(team.peer(step), inward);
    }
    const Status status = run();
    if (!status.ok()) return status;
    reduceReceived(team, in + own.offset, share + (own.offset - start), inward);
  }
  return Status::success();
}

Status Collectives::gatherIn(const Team& team, const Header& header, std::byte* out, const Blocks& blocks) {
  for (uint32_t piece = 0; piece < blocks.pieces(); ++piece) {
    clear();
    const Blocks::Range own = blocks.piece(team.self, piece);
    for (int step = 1; step < team.size(); ++step) {
      const Blocks::Range range = blocks.piece((team.self + step) % team.size(), piece);
      sendTo(team.peer(step), pieceOf(header, piece, own.length), out + own.offset);
      receiveFrom(team.peer(step), pieceOf(header, piece, range.length), out + range.offset);
    }
    const Status status = run();
    if (!status.ok()) return status;
    takeReceived();
  }
  return Status::success();
}

}  // namespace espalier::transport
