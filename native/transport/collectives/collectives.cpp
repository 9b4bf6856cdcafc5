#include "transport/collectives/collectives.h"

#include <algorithm>
#include <cstring>

#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

/// Calls `body(offset, length, index)` for each piece; once, with length 0, when there is nothing to carry, so that
/// ranks that disagree on the size find out.
template <class Body>
Status forEachPiece(size_t bytes, size_t pieceBytes, Body body) {
  const Blocks all = Blocks::of(bytes, 1, pieceBytes);
  for (uint32_t index = 0; index < all.pieces(); ++index) {
    const Blocks::Range range = all.piece(0, index);
    const Status status = body(range.offset, range.length, index);
    if (!status.ok()) return status;
  }
  return Status::success();
}

Team teamOfAll(const Mesh& mesh) {
  Team team;
  for (int rank = 0; rank < mesh.size(); ++rank) team.ranks.push_back(rank);
  team.self = mesh.rank();
  return team;
}

}  // namespace

Collectives::Collectives(Mesh& mesh, Cabling cabling)
    : mesh_(mesh),
      cabling_(std::move(cabling)),
      places_(mesh.size()),
      everybody_(teamOfAll(mesh)),
      plan_(plainPlan(mesh.size())),
      sendSequence_(mesh.size()),
      receiveSequence_(mesh.size()),
      inputs_(mesh.size()) {
  for (size_t place = 0; place < cabling_.ring.size(); ++place) places_[cabling_.ring[place]] = static_cast<int>(place);
  // reduceByBlocks has two messages for each peer at a time.
  outgoing_.reserve(2 * static_cast<size_t>(mesh.size()));
  incoming_.reserve(static_cast<size_t>(mesh.size()));
}

Status Collectives::allGather(const void* in, void* out, size_t count, DataType type, Operation operation) {
  const Header header = open(operation, count, type);
  auto* to = static_cast<std::byte*>(out);
  const size_t bytes = header.callBytes;
  const Blocks blocks = Blocks::of(bytes, mesh_.size(), mesh_.pieceBytes());
  std::byte* const own = to + mesh_.rank() * bytes;
  if (bytes > 0 && own != in) std::memcpy(own, in, bytes);
  if (!usesRing()) return gatherIn(everybody_, header, to, blocks);
  return passAround(header, [&](int rank) { return to + rank * bytes; }, blocks);
}

Status Collectives::reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = open(Operation::ReduceScatter, count, type);
  header.reduce = op;
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  const size_t bytes = header.callBytes;
  const Blocks blocks = Blocks::of(bytes, mesh_.size(), mesh_.pieceBytes());
  if (!usesRing() || bytes * mesh_.size() < kRingOrderBytes) return scatterIn(everybody_, header, from, to, blocks);
  scratch_.resize(std::max(scratch_.size(), bytes));
  const BlockAddress blockOf = [&](int rank) { return rank == mesh_.rank() ? to : scratch_.data(); };
  return reduceAround(header, from, blockOf, blocks);
}

Status Collectives::broadcast(void* data, size_t count, DataType type, int root) {
  Header header = open(Operation::Broadcast, count, type);
  header.root = static_cast<uint8_t>(root);
  auto* bytes = static_cast<std::byte*>(data);
  if (!cabling_.shape.everyPairWired && !cabling_.towards.empty()) return broadcastOverWires(header, bytes, root);
  return forEachPiece(header.callBytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    const Header piece = pieceOf(header, index, length);
    if (mesh_.rank() != root) receiveFrom(root, piece, bytes + offset);
    for (int step = 1; step < mesh_.size() && mesh_.rank() == root; ++step) {
      sendTo((root + step) % mesh_.size(), piece, bytes + offset);
    }
    const Status status = run();
    if (status.ok()) takeReceived();
    return status;
  });
}

/// Down the tree of shortest ways: a piece is passed on while the next one comes.
Status Collectives::broadcastOverWires(const Header& header, std::byte* data, int root) {
  const std::vector<int>& tree = cabling_.towards[root];
  const bool isRoot = mesh_.rank() == root;
  const Blocks all = Blocks::of(header.callBytes, 1, mesh_.pieceBytes());
  for (uint32_t turn = 0; turn <= all.pieces(); ++turn) {
    clear();
    if (!isRoot && turn < all.pieces()) {
      const Blocks::Range range = all.piece(0, turn);
      receiveFrom(tree[mesh_.rank()], pieceOf(header, turn, range.length), data + range.offset);
    }
    for (int child = 0; child < mesh_.size() && turn > 0; ++child) {
      if (child == root || tree[child] != mesh_.rank()) continue;
      const Blocks::Range range = all.piece(0, turn - 1);
      sendTo(child, pieceOf(header, turn - 1, range.length), data + range.offset);
    }
    const Status status = run();
    if (!status.ok()) return status;
    takeReceived();
  }
  return Status::success();
}

Status Collectives::send(const void* data, size_t count, DataType type, int peer) {
  Header header = open(Operation::Send, count, type);
  mesh_.expectCall(--sequence_);  // a matter of two ranks: the others do not count it
  header.sequence = sendSequence_[peer]++;
  mesh_.expectSend(peer, sendSequence_[peer]);
  const size_t step = mesh_.link(peer)->stepBytes();
  return forEachPiece(header.callBytes, step, [&](size_t offset, size_t length, uint32_t index) {
    clear();
    sendTo(peer, pieceOf(header, index, length), static_cast<const std::byte*>(data) + offset);
    return run();
  });
}

Status Collectives::recv(void* data, size_t count, DataType type, int peer) {
  Header header = open(Operation::Send, count, type);
  mesh_.expectCall(--sequence_);
  header.sequence = receiveSequence_[peer]++;
  const size_t step = mesh_.link(peer)->stepBytes();
  return forEachPiece(header.callBytes, step, [&](size_t offset, size_t length, uint32_t index) {
    clear();
    receiveFrom(peer, pieceOf(header, index, length), static_cast<std::byte*>(data) + offset);
    const Status status = run();
    if (status.ok()) takeReceived();
    return status;
  });
}

/// An all-reduce of nothing: nobody is through before everybody has come.
Status Collectives::barrier() {
  return reduceBy(plan_.ordered.at(0), open(Operation::Barrier, 0, DataType::Uint8), nullptr, nullptr);
}

Header Collectives::open(Operation operation, size_t count, DataType type) {
  Header header;
  header.operation = operation;
  header.type = type;
  header.sequence = sequence_++;
  header.callBytes = count * elementBytes(type);
  mesh_.expectCall(sequence_);
  return header;
}

void Collectives::clear() {
  outgoing_.clear();
  incoming_.clear();
}

void Collectives::sendTo(int peer, const Header& header, const void* payload) {
  outgoing_.push_back({peer, header, payload});
}

void Collectives::receiveFrom(int peer, const Header& expected, std::byte* target) {
  incoming_.push_back({peer, expected, target});
}

void Collectives::takeReceived() {
  for (const Incoming& received : incoming_) received.settle();
  mesh_.release(incoming_);
}

void Collectives::reduceReceived(const Team& team, const void* own, void* out, const Header& header) {
  inputs_[team.self] = own;
  for (size_t i = 0; i < incoming_.size(); ++i) {
    inputs_[(static_cast<size_t>(team.self) + 1 + i) % team.ranks.size()] = incoming_[i].payload;
  }
  reduceTree(out, inputs_.data(), team.size(), header.pieceBytes / elementBytes(header.type), header.type,
             header.reduce);
  mesh_.release(incoming_);
}

}  // namespace espalier::transport
