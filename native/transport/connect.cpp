#include "transport/connect.h"

#include <algorithm>

#include "transport/failure.h"
#include "transport/relay/relay_service.h"
#include "transport/shm/shm_link.h"
#include "transport/tcp/tcp_sockets.h"
#include "transport/verbs/device.h"
#include "transport/verbs/settle.h"

namespace espalier::transport {
namespace {

/// For a step of two ranks that have nobody else to wait for, each of microseconds: time to be stopped for a while.
constexpr int kStepMs = 1'500;
/// The same where each word passes the processes of other ranks, each of which may have to wait for a core. If one of them
/// stops, the side channel knows first.
constexpr int kRelayedStepMs = 10'000;
/// As much of a host's id as a message shows.
constexpr size_t kHostIdBytes = 40;

constexpr uint8_t bit(LinkKind kind) { return static_cast<uint8_t>(1u << static_cast<unsigned>(kind)); }

Status noLink(const Wiring& wiring, int peer, const std::string& because, const char* code = "LinkUnavailable") {
  return failure(code,
                 "no link between rank " + std::to_string(wiring.familyRanks[wiring.rank]) + " and rank " +
                     std::to_string(wiring.familyRanks[peer]) + ": " + because,
                 peer);
}

/// Why the connection to `peer` did not get as far as a link. The cause stays what it was; who cannot be reached, or
/// refuses, cannot be linked with.
Status noLink(const Wiring& wiring, int peer, Status status) {
  if (status.code == "OutOfDescriptors") {
    status.rank = wiring.rank;
    return status;
  }
  const bool befell = status.code == "FrameCorrupt" || status.code == "PeerLost" || status.code == "RendezvousTimeout";
  Status named = noLink(wiring, peer, status.message, befell ? status.code.c_str() : "LinkUnavailable");
  named.link = linkName(LinkKind::Tcp);
  return named;
}

/// Settles one pair over an authenticated connection.
class Negotiation {
 public:
  Negotiation(const Wiring& wiring, int peer, const Liveness& liveness, Deadline deadline)
      : wiring_(wiring),
        peer_(peer),
        wakeFd_(liveness.wakeFd()),
        silenceMs_(liveness.timeoutMs()),
        deadline_(deadline),
        common_(wiring.members[wiring.rank].linkMask & wiring.members[peer].linkMask) {
    if (!wiring.wired(peer)) {
      common_ = bit(LinkKind::Tcp);
    } else if (wiring.members[wiring.rank].hostId != wiring.members[peer].hostId) {
      common_ = static_cast<uint8_t>(common_ & ~bit(LinkKind::SharedMemory));
    }
  }

  /// The lower rank's side: offers.
  Status offer(Socket socket, FrameReader reader, std::unique_ptr<Link>& link) {
    Segment segment;
    Digest nonce{};
    if ((common_ & bit(LinkKind::SharedMemory)) && randomNonce(nonce)) {
      const Status status = Segment::create(shmSegmentBytes(), segment);
      if (status.ok()) {
        prepareShmSegment(segment, nonce);
      } else {
        trouble_ = status.message;
      }
    }
    ByteWriter writer;
    writer.putText(segment.name());
    writer.putRaw(nonce);
    Frame answer;
    const Conversation talk = over(socket, reader);
    Status status = talk.say(FrameType::LinkOffer, writer.bytes());
    if (status.ok()) status = talk.hear(FrameType::LinkAnswer, answer);
    if (!status.ok()) return noLink(wiring_, peer_, status);
    ByteReader fields(answer.payload);
    const bool mapped = fields.get<uint8_t>() != 0;
    const std::string peerTrouble = fields.getText();
    if (!fields.ok()) return noLink(wiring_, peer_, damaged());
    if (mapped) {
      segment.seal();
      link = makeShmLink(std::move(segment), 0);
      return Status::success();
    }
    if (!peerTrouble.empty()) trouble_ = peerTrouble;
    return settleOnWire(std::move(socket), std::move(reader), link);
  }

  /// The higher rank's side: answers.
  Status answer(Socket socket, FrameReader reader, std::unique_ptr<Link>& link) {
    Frame offered;
    const Conversation talk = over(socket, reader);
    Status status = talk.hear(FrameType::LinkOffer, offered);
    if (!status.ok()) return noLink(wiring_, peer_, status);
    ByteReader fields(offered.payload);
    const std::string name = fields.getText();
    Digest nonce{};
    fields.getRaw(nonce);
    if (!fields.ok()) return noLink(wiring_, peer_, damaged());
    Segment segment;
    bool mapped = false;
    if (!name.empty() && (common_ & bit(LinkKind::SharedMemory))) {
      const Status opened = Segment::open(name, shmSegmentBytes(), segment);
      mapped = opened.ok() && isShmSegment(segment, nonce);
      if (!mapped) trouble_ = opened.ok() ? "shared memory: the hosts have equal ids but are not one" : opened.message;
    }
    ByteWriter writer;
    writer.put(static_cast<uint8_t>(mapped));
    writer.putText(trouble_);
    status = talk.say(FrameType::LinkAnswer, writer.bytes());
    if (!status.ok()) return noLink(wiring_, peer_, status);
    if (!mapped) return settleOnWire(std::move(socket), std::move(reader), link);
    link = makeShmLink(std::move(segment), 1);
    return Status::success();
  }

 private:
  Conversation over(const Socket& socket, FrameReader& reader) const {
    const int stepMs = wiring_.wired(peer_) ? kStepMs : kRelayedStepMs;
    return {socket.fd(), reader, std::min(deadline_, deadlineAfterMs(stepMs)), wakeFd_};
  }

  Status settleOnWire(Socket socket, FrameReader reader, std::unique_ptr<Link>& link) {
    if (!trouble_.empty()) {
      const std::string peer = std::to_string(wiring_.familyRanks[peer_]);
      wiring_.notices->tell("shm " + peer, "no shared memory with rank " + peer + ", though on one host: " + trouble_);
    }
    const bool tcp = (common_ & bit(LinkKind::Tcp)) != 0;
    if ((common_ & bit(LinkKind::Verbs)) != 0) {
      const Family& family = *wiring_.family;
      const int rank = wiring_.familyRanks[peer_];
      std::string why;
      const Status status =
          verbs::settle(verbs::Shelf::ofProcess(), family.verbsDeviceTo(rank),
                        {socket.fd(), reader, deadline_, wakeFd_}, link, why);
      if (!status.ok()) return noLink(wiring_, peer_, status);
      if (link) return status;
      if (tcp) wiring_.notices->tell("verbs " + std::to_string(rank), "TCP to rank " + std::to_string(rank) + ": " + why);
      trouble_ += (trouble_.empty() ? "" : "; ") + why;
    }
    if (!tcp) {
      Status status = noLink(wiring_, peer_, trouble_.empty() ? nothingInCommon() : trouble_);
      if ((common_ & bit(LinkKind::Verbs)) != 0) status.link = linkName(LinkKind::Verbs);
      return status;
    }
    if (onOneHost()) sendUnpaced(socket);
    std::vector<TcpSocket> sockets;
    sockets.push_back({std::move(socket), {}});
    const Status status = addSockets(reader, sockets);
    if (!status.ok()) return noLink(wiring_, peer_, status);
    boundSilence(sockets[0].socket, 0);
    sockets[0].early = reader.takeRest();
    link = makeTcpLink(std::move(sockets));
    return Status::success();
  }

  std::string nothingInCommon() const {
    std::string text = "the two ranks allow no common kind of link";
    for (const int rank : {wiring_.rank, peer_}) {
      text += (rank == wiring_.rank ? ": rank " : ", rank ") + std::to_string(wiring_.familyRanks[rank]) + " allows";
      for (const LinkKind kind : {LinkKind::SharedMemory, LinkKind::Verbs, LinkKind::Tcp}) {
        if ((wiring_.members[rank].linkMask & bit(kind)) != 0) text += std::string(" ") + linkName(kind);
      }
      text += " on host " + printable(wiring_.members[rank].hostId, kHostIdBytes);
    }
    return text + "; shared memory needs one host; allow both the same (links, ESPALIER_LINKS)";
  }

  bool onOneHost() const { return wiring_.members[wiring_.rank].hostId == wiring_.members[peer_].hostId; }

  Status addSockets(FrameReader& reader, std::vector<TcpSocket>& sockets) {
    SocketsWanted wanted;
    wanted.count = tcpSocketCount(onOneHost());
    // The ranks between two that have no wire relay one connection.
    if (wanted.count == 1 || !wiring_.wired(peer_)) return Status::success();
    wanted.rank = wiring_.rank;
    wanted.peer = peer_;
    wanted.size = static_cast<int>(wiring_.members.size());
    wanted.epoch = wiring_.epoch;
    wanted.secret = wiring_.secret;
    wanted.host = wiring_.members[std::min(wiring_.rank, peer_)].dataHost;
    wanted.silenceMs = silenceMs_;
    const Conversation first = over(sockets[0].socket, reader);
    return wiring_.rank < peer_ ? listenForSockets(wanted, first, *wiring_.notices, sockets)
                                : dialSockets(wanted, first, sockets);
  }

  const Wiring& wiring_;
  const int peer_;
  const int wakeFd_, silenceMs_;
  const Deadline deadline_;
  uint8_t common_;
  std::string trouble_;
};

Status dialPeer(const Wiring& wiring, int peer, const Liveness& liveness, Deadline deadline,
                std::unique_ptr<Link>& link) {
  const Member& member = wiring.members[peer];
  Socket socket;
  // The peer has been listening since before it joined: its system answers at once, however busy the peer is.
  const Deadline soon = std::min(deadline, deadlineAfterMs(liveness.timeoutMs()));
  Status status = wiring.wired(peer)
                      ? dialOnce(member.dataHost, member.dataPort, soon, liveness.wakeFd(), socket)
                      : dialThrough(*wiring.family, wiring.familyRanks[peer], member.dataPort, deadline,
                                    liveness.wakeFd(), socket);
  if (!status.ok()) return noLink(wiring, peer, status);
  boundSilence(socket, liveness.timeoutMs());
  Hello hello;
  hello.purpose = Purpose::Data;
  hello.rank = wiring.rank;
  hello.size = static_cast<int>(wiring.members.size());
  hello.epoch = wiring.epoch;
  FrameReader reader;
  status = introduce({socket.fd(), reader, deadline, liveness.wakeFd()}, wiring.secret, hello);
  if (!status.ok()) return noLink(wiring, peer, status);
  return Negotiation(wiring, peer, liveness, deadline).answer(std::move(socket), std::move(reader), link);
}

/// As dialPeer(). Through busy ranks a handshake may take longer than the peer waits for a word: then it is tried again.
Status dialPatiently(const Wiring& wiring, int peer, const Liveness& liveness, Deadline deadline,
                     std::unique_ptr<Link>& link) {
  for (;;) {
    const Status status = dialPeer(wiring, peer, liveness, deadline, link);
    const bool tooLate = status.code == "RendezvousTimeout" && !wiring.wired(peer);
    if (!tooLate || liveness.dead() || Clock::now() >= deadline) return status;
  }
}

Status judge(const Wiring& wiring, const Hello& hello, const std::vector<std::unique_ptr<Link>>& links) {
  const int size = static_cast<int>(wiring.members.size());
  if (hello.purpose != Purpose::Data || hello.epoch != wiring.epoch || hello.size != size) {
    return failure("RendezvousRefused", "this data port belongs to another group");
  }
  if (hello.rank <= wiring.rank || hello.rank >= size || links[hello.rank]) {
    return failure("DuplicateRank", "rank " + std::to_string(hello.rank) + " has no link to build here", hello.rank);
  }
  return Status::success();
}

/// Not linked yet of those who are to dial this rank.
std::vector<int> missingOf(const Wiring& wiring, const std::vector<std::unique_ptr<Link>>& links) {
  std::vector<int> missing;
  for (int peer = wiring.rank + 1; peer < static_cast<int>(links.size()); ++peer) {
    if (!links[peer]) missing.push_back(peer);
  }
  return missing;
}

Status late(const Wiring& wiring, const std::vector<int>& missing) {
  std::string names;
  for (const int peer : missing) names += (names.empty() ? "rank " : ", ") + std::to_string(wiring.familyRanks[peer]);
  return failure("RendezvousTimeout",
                 names + " did not come in time for a link with rank " + std::to_string(wiring.familyRanks[wiring.rank]),
                 missing.front());
}

Status acceptPeers(const Wiring& wiring, DataPort dataPort, const Liveness& liveness, Deadline deadline,
                   std::vector<std::unique_ptr<Link>>& links) {
  Status trouble;
  Acceptor acceptor(
      std::move(dataPort.listener), wiring.secret, "data port", *wiring.notices, [&](const Hello& hello) { return judge(wiring, hello, links); },
      [&](Arrival arrival) {
        const int peer = arrival.hello.rank;
        boundSilence(arrival.socket, liveness.timeoutMs());
        Negotiation negotiation(wiring, peer, liveness, deadline);
        const Status status = negotiation.offer(std::move(arrival.socket), std::move(arrival.reader), links[peer]);
        if (!status.ok() && trouble.ok()) trouble = status;
      });
  for (;;) {
    const std::vector<int> missing = missingOf(wiring, links);
    if (missing.empty() || !trouble.ok() || liveness.dead()) return trouble;
    if (Clock::now() >= deadline) return late(wiring, missing);
    acceptor.step(std::min(remainingMs(deadline), 500), liveness.wakeFd());
    if (!acceptor.shortage().ok()) return noLink(wiring, wiring.rank, acceptor.shortage());
  }
}

}  // namespace

Status openDataPort(const std::string& host, Deadline deadline, DataPort& dataPort) {
  return listenOn(host, 0, dataPort.listener, dataPort.port, deadline);
}

uint8_t maskOf(const std::vector<LinkKind>& links) {
  uint8_t mask = 0;
  for (const LinkKind kind : links) mask = static_cast<uint8_t>(mask | bit(kind));
  return mask;
}

Status connectAll(const Wiring& wiring, DataPort dataPort, const Liveness& liveness, Deadline deadline,
                  std::vector<std::unique_ptr<Link>>& links) {
  links.clear();
  links.resize(wiring.members.size());
  // Dial before accepting: rank 0 dials nobody, so each rank's turn comes once all lower ones are served.
  for (int peer = 0; peer < wiring.rank; ++peer) {
    const Status status = dialPatiently(wiring, peer, liveness, deadline, links[peer]);
    if (!status.ok()) return status;
  }
  return acceptPeers(wiring, std::move(dataPort), liveness, deadline, links);
}

}  // namespace espalier::transport
