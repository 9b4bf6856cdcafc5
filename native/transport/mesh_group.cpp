#include "transport/mesh_group.h"

#include <poll.h>

#include <cstdlib>
#include <exception>
#include <limits>

#include "transport/failure.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

constexpr size_t kAllocationAlignBytes = 64;

Status invalid(const std::string& what) { return failure("InvalidArgument", what); }

/// What is wrong with an argument, or null. No Status: to make and drop a few takes longer than the rest of the way to the
/// other ranks.
using Objection = const char*;

Objection toData(const void* data, size_t count, DataType type, int factor) {
  const size_t element = elementBytes(type);
  if (element == 0) return "there is no such data type";
  if (count > std::numeric_limits<uint32_t>::max() &&
      count > std::numeric_limits<size_t>::max() / 2 / element / static_cast<size_t>(factor)) {
    return "so many elements do not fit into memory";
  }
  return data == nullptr && count > 0 ? "a buffer is null though the count is not 0" : nullptr;
}

Objection toReduce(DataType type, ReduceOp op) {
  if (static_cast<int>(op) > static_cast<int>(ReduceOp::Min)) return "there is no such reduction";
  return canReduce(type, op) ? nullptr : "complex numbers can be summed, but have no maximum or minimum";
}

Objection first(Objection one, Objection other, Objection third = nullptr) {
  return one != nullptr ? one : other != nullptr ? other : third;
}

}  // namespace

MeshGroup::MeshGroup(Mesh::Place place, std::vector<std::unique_ptr<Link>> links,
                     std::shared_ptr<Liveness> liveness, Identity identity, Cabling cabling)
    : liveness_(std::move(liveness)),
      identity_(std::move(identity)),
      mesh_(std::move(place), std::move(links), liveness_),
      collectives_(mesh_, std::move(cabling)) {
  for (int rank = 0; rank < mesh_.size(); ++rank) isSplit_ |= mesh_.place().familyRanks[rank] != rank;
}

MeshGroup::~MeshGroup() {
  for (void* memory : allocations_) std::free(memory);
}

Status MeshGroup::settle() {
  return call(Operation::Barrier, 0, DataType::Uint8, [&] {
    Status status = collectives_.agreeOnPieces();
    if (!status.ok()) return status;
    std::vector<Member> members;
    for (const int familyRank : mesh_.place().familyRanks) members.push_back(identity_.family->members[familyRank]);
    status = formTeam(mesh_, collectives_, members, *identity_.family->notices, team_);
    // A team of all goes about its calls in its own way.
    if (status.ok() && !oneTeam()) status = collectives_.settle(team_.get());
    if (status.ok() && oneTeam()) mesh_.watchOtherCalls([this](int peer) { return team_->aheadWith(peer); });
    mesh_.forgetTraffic();
    stopwatch_.learnRate();
    return status;
  });
}

/// With one variable to return, which is made where the caller wants it: to move it takes longer than a header.
template <class Body>
Status MeshGroup::timed(Operation operation, size_t bytes, Body& body) {
  const uint64_t began = stopwatch_.read();
  mesh_.begin();
  Status status = body();
  if (status.ok()) {
    counters_.add(operation, bytes, stopwatch_.since(began));
  } else {
    status = told(std::move(status));
  }
  return status;
}

template <class Body>
Status MeshGroup::call(Operation operation, size_t count, DataType type, Body body) {
  try {
    return liveness_->dead() ? told(mesh_.cause()) : timed(operation, count * elementBytes(type), body);
  } catch (const std::exception& error) {
    return told(mesh_.fail(failure("GroupAborted", std::string("this rank failed inside a call: ") + error.what(),
                                   mesh_.rank())));
  }
}

Status MeshGroup::allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  const Objection bad = first(toData(in, count, type, 1), toData(out, count, type, 1), toReduce(type, op));
  if (bad != nullptr) return invalid(bad);
  return call(Operation::AllReduce, count, type, [&] {
    return oneTeam() ? fromTeam(team_->allReduce(in, out, count, type, op))
                     : collectives_.allReduce(in, out, count, type, op);
  });
}

Status MeshGroup::allGather(const void* in, void* out, size_t count, DataType type) {
  const Objection bad = first(toData(in, count, type, 1), toData(out, count, type, size()));
  if (bad != nullptr) return invalid(bad);
  return call(Operation::AllGather, count, type, [&] {
    return oneTeam() ? fromTeam(team_->allGather(in, out, count, type))
                     : collectives_.allGather(in, out, count, type, Operation::AllGather);
  });
}

Status MeshGroup::reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) {
  const Objection bad = first(toData(in, count, type, size()), toData(out, count, type, 1), toReduce(type, op));
  if (bad != nullptr) return invalid(bad);
  return call(Operation::ReduceScatter, count, type, [&] {
    return oneTeam() ? fromTeam(team_->reduceScatter(in, out, count, type, op))
                     : collectives_.reduceScatter(in, out, count, type, op);
  });
}

Status MeshGroup::broadcast(void* data, size_t count, DataType type, int root) {
  const Objection bad = toData(data, count, type, 1);
  if (bad != nullptr) return invalid(bad);
  if (Status wrong = checkPeer(root, true); !wrong.ok()) return wrong;
  return call(Operation::Broadcast, count, type, [&] {
    return oneTeam() ? fromTeam(team_->broadcast(data, count, type, root))
                     : collectives_.broadcast(data, count, type, root);
  });
}

Status MeshGroup::send(const void* data, size_t count, DataType type, int peer) {
  const Objection bad = toData(data, count, type, 1);
  if (bad != nullptr) return invalid(bad);
  if (Status wrong = checkPeer(peer, false); !wrong.ok()) return wrong;
  return call(Operation::Send, count, type, [&] { return collectives_.send(data, count, type, peer); });
}

Status MeshGroup::recv(void* data, size_t count, DataType type, int peer) {
  const Objection bad = toData(data, count, type, 1);
  if (bad != nullptr) return invalid(bad);
  if (Status wrong = checkPeer(peer, false); !wrong.ok()) return wrong;
  return call(Operation::Receive, count, type, [&] { return collectives_.recv(data, count, type, peer); });
}

Status MeshGroup::barrier() {
  return call(Operation::Barrier, 0, DataType::Uint8,
              [&] { return oneTeam() ? fromTeam(team_->barrier()) : collectives_.barrier(); });
}

std::unique_ptr<Group> MeshGroup::split(int color, int key, Status& status) {
  try {
    std::unique_ptr<Group> child = splitOrThrow(color, key, status);
    // What broke the part counts as this group does, whose call it was.
    if (!child) status = told(mesh_.cause());
    return child;
  } catch (const std::exception& error) {
    status = told(mesh_.fail(failure("GroupAborted", std::string("split failed: ") + error.what(), mesh_.rank())));
    return nullptr;
  }
}

void MeshGroup::abort(const std::string& reason) {
  liveness_->fail(failure("GroupAborted", reason, mesh_.place().familyRanks[mesh_.rank()]));
}

GroupStats MeshGroup::stats() const {
  GroupStats stats;
  stats.collectives = counters_.read();
  for (int peer = 0; peer < size(); ++peer) {
    const Link* link = mesh_.link(peer);
    if (link == nullptr) continue;
    const PeerCounters& counters = mesh_.counters(peer);
    stats.peers.push_back({peer, link->kind(), counters.bytesSent.load(std::memory_order_relaxed),
                           counters.bytesReceived.load(std::memory_order_relaxed),
                           static_cast<double>(counters.stallNs.load(std::memory_order_relaxed)) / 1e3,
                           mesh_.place().via[peer]});
  }
  for (int member = 0; team_ && member < team_->size(); ++member) {
    const TeamCounters& counters = team_->counters(member);
    for (PeerStats& peer : stats.peers) {
      if (peer.rank != team_->members()[member]) continue;
      peer.bytesSent += counters.bytesSent.load(std::memory_order_relaxed);
      peer.bytesReceived += counters.bytesReceived.load(std::memory_order_relaxed);
      peer.stallUs += static_cast<double>(counters.stallNs.load(std::memory_order_relaxed)) / 1e3;
    }
  }
  if (oneTeam()) {
    for (const bool anyOrder : {false, true}) stats.algorithms.push_back({"host team", 0, anyOrder});
  } else {
    collectives_.report(stats);
  }
  return stats;
}

void* MeshGroup::allocate(size_t bytes) {
  if (team_) {
    if (void* shared = team_->allocate(bytes)) return shared;
  }
  if (bytes > std::numeric_limits<size_t>::max() - kAllocationAlignBytes) return nullptr;
  const size_t whole = (bytes / kAllocationAlignBytes + 1) * kAllocationAlignBytes;
  void* memory = std::aligned_alloc(kAllocationAlignBytes, whole);
  if (memory == nullptr) return nullptr;
  const std::lock_guard lock(allocationsMutex_);
  allocations_.push_back(memory);
  return memory;
}

Status MeshGroup::checkPeer(int peer, bool mayBeSelf) const {
  if (peer < 0 || peer >= size()) {
    return invalid("there is no rank " + std::to_string(peer) + " in a group of " + std::to_string(size()));
  }
  if (peer == rank() && !mayBeSelf) return invalid("a rank cannot send to or receive from itself");
  return Status::success();
}

Status MeshGroup::told(Status status) const {
  // An abort's reason is the caller's own text.
  const bool namesRanks = status.code.starts_with("Peer") || status.code == "OperationTimeout";
  if (isSplit_ && namesRanks) status.message += " (ranks named here count in the whole group)";
  return status;
}

}  // namespace espalier::transport
