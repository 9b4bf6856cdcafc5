#include "transport/collectives/mesh.h"

#include <algorithm>
#include <limits>
#include <string>

#include "transport/collectives/waiter.h"
#include "transport/failure.h"

namespace espalier::transport {
namespace {

/// Whether any rank could have sent it.
bool isPlausible(const Header& header) {
  return static_cast<int>(header.operation) < kOperationCount && header.type <= DataType::Complex64 &&
         header.reduce <= ReduceOp::Min;
}

}  // namespace

Mesh::Mesh(Place place, std::vector<std::unique_ptr<Link>> links, std::shared_ptr<Liveness> liveness)
    : place_(std::move(place)), links_(std::move(links)), liveness_(std::move(liveness)), counters_(place_.size),
      flows_(std::make_shared<Flows>(place_.groupId, place_.familyRanks)), stash_(place_.size) {
  liveness_->follow(flows_);
  for (const auto& link : links_) relaxes_ |= link && link->kind() != LinkKind::Verbs;
}

Mesh::~Mesh() {
  if (liveness_->dead()) return;
  for (const auto& link : links_) {
    if (link) link->leave();
  }
}

size_t Mesh::ownPieceBytes() const {
  size_t least = std::numeric_limits<int32_t>::max();
  for (const auto& link : links_) {
    if (link) least = std::min(least, link->maxPayloadBytes());
  }
  return least;
}

void Mesh::forgetTraffic() {
  for (PeerCounters& counters : counters_) counters.bytesSent = counters.bytesReceived = counters.stallNs = 0;
}

inline void Mesh::countSent(int peer, uint32_t bytes) {
  flows_->offered(peer, true);
  PeerCounters::raise(counters_[peer].bytesSent, bytes);
}

inline void Mesh::countArrived(int peer, uint32_t bytes) {
  flows_->arrived(peer);
  PeerCounters::raise(counters_[peer].bytesReceived, bytes);
}

/// Without a wait if the peer was not later than this rank: the way of a decode step.
Status Mesh::exchange(int peer, const Header& header, const std::byte* own, const std::byte*& theirs) {
  Link& link = *links_[peer];
  if (link.trySend(header, own) != LinkResult::Done) return exchangeRest(peer, header, own, false, theirs);
  countSent(peer, header.pieceBytes);
  Message message;
  if (!stash_.empty() || link.tryReceive(message) != LinkResult::Done || message.header != header) {
    return exchangeRest(peer, header, own, true, theirs);
  }
  countArrived(peer, header.pieceBytes);
  theirs = message.payload;
  return Status::success();
}

[[gnu::noinline]] Status Mesh::exchangeRest(int peer, const Header& header, const std::byte* own, bool hasSent,
                                            const std::byte*& theirs) {
  Outgoing out{peer, header, own, hasSent};
  Incoming in{peer, header};
  Status status = exchange({&out, 1}, {&in, 1});
  theirs = in.payload;
  return status;
}

Status Mesh::exchange(std::span<Outgoing> outgoing, std::span<Incoming> incoming) {
  Waiter waiter(*this);
  while (!step(outgoing, incoming, waiter)) {
    if (liveness_->dead()) return cause();
    waiter.pause(outgoing, incoming);
    if (liveness_->dead()) return cause();
  }
  return Status::success();
}

bool Mesh::step(std::span<Outgoing> outgoing, std::span<Incoming> incoming, Waiter& waiter) {
  bool allDone = true;
  int lastPeer = -1;
  uint64_t blocked = 0;  // peers that have not got an earlier message: later ones must not overtake it
  for (Outgoing& out : outgoing) {
    if (out.done || (blocked >> out.peer & 1)) continue;
    const LinkResult result = links_[out.peer]->trySend(out.header, out.payload);
    if (result == LinkResult::Done) {
      out.done = true;
      countSent(out.peer, out.header.pieceBytes);
      lastPeer = out.peer;
      continue;
    }
    flows_->offered(out.peer, false);
    allDone = false;
    blocked |= uint64_t{1} << out.peer;
    settle(out.peer, result, waiter);
  }
  for (Incoming& in : incoming) {
    if (in.done) {
      if (!allDone) links_[in.peer]->progress();
      continue;
    }
    Message message;
    const LinkResult result = take(in, message);
    if (result != LinkResult::Done) {
      allDone = false;
      settle(in.peer, result, waiter);
      continue;
    }
    if (message.header != in.expected) {
      if (isPlausible(message.header)) {
        Header own = in.expected;
        if (own.operation == Operation::Send) own.operation = Operation::Receive;
        mismatch(in.peer, describeCall(message.header), own);
      } else {
        fail(failure("FrameCorrupt",
                     "what came over the link from rank " + std::to_string(place_.familyRanks[in.peer]) + " to rank " +
                         std::to_string(place_.familyRanks[place_.rank]) +
                         " is no message of this transport: it was damaged on the way",
                     in.peer));
      }
      return false;
    }
    in.payload = message.payload;
    in.done = true;
    countArrived(in.peer, message.header.pieceBytes);
    lastPeer = in.peer;
  }
  if (allDone && lastPeer >= 0) waiter.finish(lastPeer);
  return allDone;
}

LinkResult Mesh::take(const Incoming& in, Message& message) {
  if (stash_.holds(in.peer)) [[unlikely]] {
    message = stash_.oldest(in.peer);
    return LinkResult::Done;
  }
  Link& link = *links_[in.peer];
  if (in.target != nullptr) link.aim(in.target, in.expected.pieceBytes);
  return link.tryReceive(message);
}

bool Mesh::stashArrivals() {
  bool any = false;
  for (int peer = 0; peer < place_.size; ++peer) {
    Link* const link = links_[peer].get();
    Message message;
    // What no rank sends stays where it is, for the receive that will say so.
    while (link != nullptr && stash_.hasRoom() && link->tryReceive(message) == LinkResult::Done &&
           isPlausible(message.header) && message.header.pieceBytes <= link->maxPayloadBytes()) {
      stash_.keep(peer, message);
      link->release();
      any = true;
    }
  }
  return any;
}

void Mesh::settle(int peer, LinkResult result, Waiter& waiter) {
  if (result == LinkResult::Broken) waiter.suspect(peer);
  if (result == LinkResult::Lost) {
    fail(failure("DataLost", "data from rank " + std::to_string(place_.familyRanks[peer]) + " was lost on the way: " +
                                 links_[peer]->why() + "; check the cable between the two ranks",
                 peer, linkName(links_[peer]->kind())));
  }
  if (result == LinkResult::Corrupted) {
    fail(failure("FrameCorrupt", "the data from rank " + std::to_string(place_.familyRanks[peer]) + " is damaged: " +
                                       links_[peer]->why() + "; check the " + linkName(links_[peer]->kind()) +
                                       " path between the two ranks",
                 peer));
  }
  if (result == LinkResult::Left) {
    fail(failure("PeerLeft", "rank " + std::to_string(place_.familyRanks[peer]) +
                                 " left the group in order, while this rank still had business with it",
                 peer));
  }
}

std::string Mesh::wayTo(int peer) const {
  const int via = place_.via[peer];
  if (via == kDirect) return "";
  return via == kViaOutside ? " (through ranks outside of this split)"
                            : " (through rank " + std::to_string(place_.familyRanks[via]) + ")";
}

void Mesh::mismatch(int peer, const std::string& got, const Header& expected) {
  const std::string other = std::to_string(place_.familyRanks[peer]);
  const std::string self = std::to_string(place_.familyRanks[place_.rank]);
  fail(failure("PeerMismatch", "rank " + other + " called " + got + " where rank " + self + " called " +
                                   describeCall(expected) +
                                   (expected.operation == Operation::Receive
                                        ? "; it must receive just what is sent, in the same order"
                                        : "; all ranks must make the same calls"),
               peer));
}

void Mesh::release(std::span<Incoming> incoming) {
  for (Incoming& in : incoming) release(in.peer);
}

Status Mesh::cause() const {
  Status status = liveness_->cause();
  const int familyRank = status.rank;
  status.rank = -1;
  for (int rank = 0; rank < place_.size; ++rank) {
    if (place_.familyRanks[rank] != familyRank || familyRank < 0) continue;
    status.rank = rank;
    if (links_[rank]) status.link = linkName(links_[rank]->kind());
  }
  return status;
}

Status Mesh::fail(Status status) {
  if (status.rank >= 0) status.rank = place_.familyRanks[status.rank];
  liveness_->fail(status);
  return cause();
}

}  // namespace espalier::transport
