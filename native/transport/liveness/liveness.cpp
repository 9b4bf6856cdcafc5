#include "transport/liveness/liveness.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

#include "transport/failure.h"
#include "transport/liveness/circle.h"
#include "transport/silent_thread.h"

namespace espalier::transport {
namespace {

/// Seven beats fit into the default timeout, so a few late ones on a busy host are no death.
constexpr int kBeatMs = 200;

}  // namespace

Liveness::Liveness(int rank, int size, int timeoutMs, std::vector<ControlConnection> control)
    : rank_(rank), size_(size), timeoutMs_(timeoutMs), relayed_(static_cast<size_t>(size)), said_(static_cast<size_t>(size)) {
  for (ControlConnection& connection : control) {
    peers_.push_back({connection.rank, std::move(connection.socket), std::move(connection.reader), Clock::now()});
  }
  if (!peers_.empty()) thread_ = startSilentThread([this] { watch(); });
}

Liveness::~Liveness() {
  stopping_.store(true);
  wake_.raise();
  if (thread_.joinable()) thread_.join();
  for (Peer& peer : peers_) {
    if (!peer.open) continue;
    if (!dead()) sendFrame(peer.socket.fd(), FrameType::Goodbye);
    shutdown(peer.socket.fd(), SHUT_WR);
    // Closing over unread beats would reset the connection, and what was said last might be lost with it.
    char unread[256];
    while (recv(peer.socket.fd(), unread, sizeof unread, MSG_DONTWAIT) > 0) continue;
  }
}

Status Liveness::cause() const {
  const std::lock_guard lock(causeMutex_);
  return cause_;
}

void Liveness::fail(const Status& status) {
  if (declare(status)) tell(status, -1);
}

bool Liveness::declare(const Status& status) {
  {
    const std::lock_guard lock(causeMutex_);
    if (!cause_.ok()) return false;
    cause_ = status;
  }
  dead_.store(true, std::memory_order_release);
  wake_.raise();
  return true;
}

void Liveness::tell(const Status& status, int exceptRank) {
  ByteWriter writer;
  writeStatus(writer, status);
  const std::lock_guard lock(sendMutex_);
  for (Peer& peer : peers_) {
    if (peer.open && peer.rank != exceptRank) sendFrame(peer.socket.fd(), FrameType::Failure, writer.bytes());
  }
}

void Liveness::watch() {
  const int beatMs = std::min(kBeatMs, timeoutMs_ / 4);
  Deadline nextBeat = Clock::now();
  Deadline lastRound = nextBeat;
  while (!dead() && !stopping_.load()) {
    std::vector<pollfd> fds = {{wake_.fd(), POLLIN, 0}};
    for (const Peer& peer : peers_) {
      if (peer.open) fds.push_back({peer.socket.fd(), POLLIN, 0});
    }
    if (fds.size() == 1) return;  // everybody has left
    poll(fds.data(), static_cast<nfds_t>(fds.size()), remainingMs(std::min(nextBeat, soonestSilence())));
    for (Peer& peer : peers_) {
      if (peer.open && !dead()) listenTo(peer);
    }
    const Deadline now = Clock::now();
    // A round that took this long means that this process was stopped itself: the silence was its own.
    if (now - lastRound > std::chrono::milliseconds(timeoutMs_ / 2)) {
      for (Peer& peer : peers_) peer.lastHeard = now;
    }
    lastRound = now;
    if (now >= nextBeat) {
      beat();
      if (rank_ == 0) findCircle();
      nextBeat = now + std::chrono::milliseconds(beatMs);
    }
    findSilent(now);
  }
}

void Liveness::listenTo(Peer& peer) {
  Frame frame;
  for (;;) {
    switch (peer.reader.read(peer.socket.fd(), frame)) {
      case FrameResult::NotYet: return;
      case FrameResult::Frame:
        peer.lastHeard = Clock::now();
        handle(peer, frame);
        if (!peer.open || dead()) return;
        continue;
      case FrameResult::Closed:
        close(peer);
        fail(failure("PeerLost", nameOf(peer) + " died: its side connection closed without a goodbye (killed or "
                                                "crashed)", peer.rank));
        return;
      case FrameResult::Garbage:
        // Left open: that rank may live, and is told as well.
        fail(failure("FrameCorrupt", "the side connection from " + nameOf(peer) + " to rank " + std::to_string(rank_) +
                                         " carried what is no frame: it was damaged on the way, or another program "
                                         "writes to it", peer.rank));
        return;
    }
  }
}

void Liveness::handle(Peer& peer, const Frame& frame) {
  if (frame.type == FrameType::Goodbye) {
    close(peer);
    if (peer.rank == 0) unwatched_.store(true, std::memory_order_release);
  } else if (frame.type == FrameType::Failure) {
    ByteReader reader(frame.payload);
    Status status = readStatus(reader);
    if (!reader.ok() || status.ok() || status.rank < -1 || status.rank >= size_) {
      status = failure("FrameCorrupt", nameOf(peer) + " tells of a failure in a way that cannot be read", peer.rank);
    }
    if (declare(status)) tell(status, peer.rank);
  } else if (frame.type == FrameType::Heartbeat) {
    handleReports(peer, frame);
  }
}

void Liveness::handleReports(const Peer& peer, const Frame& frame) {
  std::vector<FlowReport>& relayed = relayed_[static_cast<size_t>(peer.rank)];
  relayed.clear();
  std::vector<FlowReport> reports = readReports(frame.payload);
  if (rank_ == 0) std::erase_if(reports, [&](const FlowReport& report) { return report.from != peer.rank; });
  for (const FlowReport& report : reports) {
    if (report.to == rank_) {
      flows_.take(report);
    } else if (rank_ == 0) {
      relayed.push_back(report);
    }
  }
  if (rank_ == 0) said_[static_cast<size_t>(peer.rank)] = std::move(reports);
}

void Liveness::close(Peer& peer) {
  const std::lock_guard lock(sendMutex_);
  peer.open = false;
  peer.socket.close();
}

void Liveness::beat() {
  const std::vector<FlowReport> own = flows_.reportsOf(rank_);
  if (rank_ == 0) said_[0] = own;
  const std::lock_guard lock(sendMutex_);
  for (Peer& peer : peers_) {
    if (!peer.open) continue;
    std::vector<FlowReport> reports;
    const auto concerns = [&](const FlowReport& report) { return rank_ != 0 || report.to == peer.rank; };
    std::copy_if(own.begin(), own.end(), std::back_inserter(reports), concerns);
    for (const auto& relayed : relayed_) {
      std::copy_if(relayed.begin(), relayed.end(), std::back_inserter(reports), concerns);
    }
    ByteWriter writer;
    writeReports(writer, reports);
    // A beat that cannot be sent shows as silence or a closed connection soon enough.
    sendFrame(peer.socket.fd(), FrameType::Heartbeat, writer.bytes());
  }
  // Each is passed on once: a rank that stopped must not seem to go on reporting.
  for (auto& relayed : relayed_) relayed.clear();
}

void Liveness::findCircle() {
  std::vector<FlowReport> all;
  for (const auto& said : said_) all.insert(all.end(), said.begin(), said.end());
  const std::vector<int> circle = circleOfReceives(all);
  if (circle.empty()) return;
  std::string text;
  for (size_t i = 0; i < circle.size(); ++i) {
    text += (i == 0 ? "rank " : ", rank ") + std::to_string(circle[i]) + (i == 0 ? " waits to receive from rank " : " from rank ") +
            std::to_string(circle[(i + 1) % circle.size()]);
  }
  fail(failure("PeerMismatch", text + "; one of them must send first", circle.front()));
}

Deadline Liveness::soonestSilence() const {
  Deadline soonest = Deadline::max();
  for (const Peer& peer : peers_) {
    if (peer.open) soonest = std::min(soonest, peer.lastHeard + std::chrono::milliseconds(timeoutMs_));
  }
  return soonest;
}

std::string Liveness::nameOf(const Peer& peer) const {
  return "rank " + std::to_string(peer.rank) + " of " + std::to_string(size_);
}

void Liveness::findSilent(Deadline now) {
  for (const Peer& peer : peers_) {
    if (!peer.open || now - peer.lastHeard < std::chrono::milliseconds(timeoutMs_)) continue;
    fail(failure("PeerStopped", nameOf(peer) + " has been silent for " + std::to_string(timeoutMs_) + " ms, as rank " +
                                    std::to_string(rank_) + " hears it: its process is stopped, or its host is down "
                                    "or cut off", peer.rank));
    return;
  }
}

}  // namespace espalier::transport
