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
  uint32_t index = 0;
  size_t offset = 0;
  do {
    const size_t length = std::min(bytes - offset, pieceBytes);
    const Status status = body(offset, length, index++);
    if (!status.ok()) return status;
    offset += length;
  } while (offset < bytes);
  return Status::success();
}

Header pieceOf(Header header, uint32_t index, size_t length) {
  header.piece = index;
  header.pieceBytes = static_cast<uint32_t>(length);
  return header;
}

}  // namespace

Collectives::Collectives(Mesh& mesh)
    : mesh_(mesh), sendSequence_(mesh.size()), receiveSequence_(mesh.size()), inputs_(mesh.size()) {
  // reduceByBlocks has two messages for each peer at a time.
  outgoing_.reserve(2 * static_cast<size_t>(mesh.size()));
  incoming_.reserve(static_cast<size_t>(mesh.size()));
}

Status Collectives::allGather(const void* in, void* out, size_t count, DataType type, Operation operation) {
  const Header header = open(operation, count, type);
  const auto* from = static_cast<const std::byte*>(in);
  auto* to = static_cast<std::byte*>(out);
  const size_t bytes = header.callBytes;
  if (bytes > 0 && to + mesh_.rank() * bytes != from) std::memcpy(to + mesh_.rank() * bytes, from, bytes);
  return forEachPiece(bytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    swapWithAll(pieceOf(header, index, length), from + offset);
    for (Incoming& wanted : incoming_) wanted.target = to + wanted.peer * bytes + offset;
    const Status status = run();
    if (!status.ok()) return status;
    for (const Incoming& received : incoming_) received.settle();
    mesh_.release(incoming_);
    return status;
  });
}

Status Collectives::reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  Header header = open(Operation::ReduceScatter, count, type);
  header.reduce = op;
  const auto* from = static_cast<const std::byte*>(in);
  const size_t bytes = header.callBytes;
  return forEachPiece(bytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    const Header piece = pieceOf(header, index, length);
    for (int step = 1; step < mesh_.size(); ++step) {
      const int peer = (mesh_.rank() + step) % mesh_.size();
      sendTo(peer, piece, from + peer * bytes + offset);
      receiveFrom(peer, piece);
    }
    const Status status = run();
    if (!status.ok()) return status;
    reduceReceived(from + mesh_.rank() * bytes + offset, static_cast<std::byte*>(out) + offset, piece);
    return status;
  });
}

Status Collectives::broadcast(void* data, size_t count, DataType type, int root) {
  Header header = open(Operation::Broadcast, count, type);
  header.root = static_cast<uint8_t>(root);
  auto* bytes = static_cast<std::byte*>(data);
  return forEachPiece(header.callBytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    const Header piece = pieceOf(header, index, length);
    if (mesh_.rank() != root) receiveFrom(root, piece, bytes + offset);
    for (int step = 1; step < mesh_.size() && mesh_.rank() == root; ++step) {
      sendTo((root + step) % mesh_.size(), piece, bytes + offset);
    }
    const Status status = run();
    if (!status.ok()) return status;
    for (const Incoming& received : incoming_) received.settle();
    mesh_.release(incoming_);
    return status;
  });
}

Status Collectives::send(const void* data, size_t count, DataType type, int peer) {
  Header header = open(Operation::Send, count, type);
  --sequence_;  // a matter of two ranks: the others do not count it
  header.sequence = sendSequence_[peer]++;
  return forEachPiece(header.callBytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    sendTo(peer, pieceOf(header, index, length), static_cast<const std::byte*>(data) + offset);
    return run();
  });
}

Status Collectives::recv(void* data, size_t count, DataType type, int peer) {
  Header header = open(Operation::Send, count, type);
  --sequence_;
  header.sequence = receiveSequence_[peer]++;
  return forEachPiece(header.callBytes, mesh_.pieceBytes(), [&](size_t offset, size_t length, uint32_t index) {
    clear();
    receiveFrom(peer, pieceOf(header, index, length), static_cast<std::byte*>(data) + offset);
    const Status status = run();
    if (!status.ok()) return status;
    incoming_[0].settle();
    mesh_.release(incoming_);
    return status;
  });
}

Status Collectives::barrier() {
  const Header header = open(Operation::Barrier, 0, DataType::Uint8);
  clear();
  swapWithAll(header, nullptr);
  const Status status = run();
  if (status.ok()) mesh_.release(incoming_);
  return status;
}

Header Collectives::open(Operation operation, size_t count, DataType type) {
  Header header;
  header.operation = operation;
  header.type = type;
  header.sequence = sequence_++;
  header.callBytes = count * elementBytes(type);
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

void Collectives::sendToAll(const Header& header, const void* payload) {
  // Each rank starts with its right neighbour, so that not all of them write to rank 0 first.
  for (int step = 1; step < mesh_.size(); ++step) sendTo((mesh_.rank() + step) % mesh_.size(), header, payload);
}

void Collectives::swapWithAll(const Header& header, const void* payload) {
  sendToAll(header, payload);
  for (int step = 1; step < mesh_.size(); ++step) receiveFrom((mesh_.rank() + step) % mesh_.size(), header);
}

void Collectives::reduceReceived(const void* own, void* out, const Header& header) {
  inputs_[mesh_.rank()] = own;
  for (const Incoming& received : incoming_) inputs_[received.peer] = received.payload;
  reduceTree(out, inputs_.data(), mesh_.size(), header.pieceBytes / elementBytes(header.type), header.type,
             header.reduce);
  mesh_.release(incoming_);
}

}  // namespace espalier::transport
