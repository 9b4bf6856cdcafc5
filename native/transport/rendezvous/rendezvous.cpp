#include "transport/rendezvous/rendezvous.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <optional>
#include <thread>

#include "transport/failure.h"

namespace espalier::transport {
namespace {

constexpr int kTickMs = 100;
/// For ranks that were started together to hear why they cannot form a group.
constexpr int kTellMs = 2'000;
/// For the right one of two incarnations of a rank to come after the other was refused. All are to hear of it within 2 s.
constexpr int kRightOneMs = 1'000;

std::string listRanks(uint64_t mask) {
  std::string text;
  for (int rank = 0; rank < 64; ++rank) {
    if ((mask >> rank & 1) == 0) continue;
    if (!text.empty()) text += ", ";
    text += std::to_string(rank);
  }
  return text;
}

/// What befell a handshake passes: rank 0 may be starting, or another program have had its port. A refusal is final.
Status asPassing(Status status) {
  if (status.code == "FrameCorrupt") status.message = "what answers there is not an Espalier rank";
  for (const char* passing : {"FrameCorrupt", "PeerLost", "RendezvousTimeout"}) {
    if (status.code == passing) status.code = "Unreachable";
  }
  return status;
}

/// `left` of the missing ones came, but went away before all were there: those that never came are to blame.
Status timedOut(const GroupOptions& options, uint64_t missing, uint64_t left) {
  std::string text = "after " + std::to_string(options.rendezvousTimeoutMs) + " ms still missing of " +
                     std::to_string(options.size) + " ranks: " + listRanks(missing);
  if (left != 0) text += " (came, but did not stay: " + listRanks(left) + ")";
  const uint64_t guilty = missing == left ? missing : missing & ~left;
  return failure("RendezvousTimeout", text + "; see whether they run and reach rank 0", std::countr_zero(guilty));
}

/// Rank 0's side: collects the others.
class Host {
 public:
  Host(const GroupOptions& options, const Member& self, Notices& notices)
      : options_(options), notices_(notices), joined_(options.size) {
    roster_.members.resize(options.size);
    roster_.members[0] = self;
  }

  Status run(Deadline deadline, Roster& roster) {
    Socket listener;
    uint16_t port = 0;
    Status status = listenOn(options_.rendezvousHost, options_.rendezvousPort, listener, port, deadline);
    if (!status.ok()) return status;
    if (options_.onListening != nullptr) options_.onListening(port, options_.onListeningContext);
    Acceptor acceptor(
        std::move(listener), options_.secret, "rendezvous", notices_, [this](const Hello& hello) { return judge(hello); },
        [this](Arrival arrival) { welcome(std::move(arrival)); });
    while (missing() != 0) {
      if (Clock::now() >= deadline) return giveUp(timedOut(options_, missing(), missing() & came_));
      insistOnEpoch();
      if (!disagreement_.ok() && ((missing() & ~told_) == 0 || Clock::now() >= tellUntil_)) return giveUp(disagreement_);
      if (!acceptor.shortage().ok()) return giveUp(acceptor.shortage());
      acceptor.step(std::min(kTickMs, remainingMs(deadline)), -1);
      tellWaiting();
    }
    return publish(roster);
  }

 private:
  /// What the last one who proved the secret was refused for is said when time is up: it may be a missing rank.
  Status judge(const Hello& hello) {
    Status verdict = disagreement_.ok() ? verdictOn(hello) : disagreement_;
    if (disagreement_.ok() && options_.disagreementEnds && verdict.code == "WrongSize") {
      disagreement_ = verdict;
      tellUntil_ = deadlineAfterMs(kTellMs);
    }
    const bool isMember = hello.rank >= 1 && hello.rank < options_.size;
    if (isMember && options_.disagreementEnds && verdict.code == "WrongEpoch" && otherEpoch_.ok()) {
      otherEpoch_ = verdict;
      rightOneBy_ = deadlineAfterMs(kRightOneMs);
      tellUntil_ = deadlineAfterMs(kTellMs);
      told_ |= uint64_t{1} << hello.rank;
    }
    if (!disagreement_.ok() && hello.rank >= 0 && hello.rank < 64) told_ |= uint64_t{1} << hello.rank;
    if (disagreement_.ok() && !verdict.ok()) refusal_ = verdict.message;
    return verdict;
  }

  /// A rank of another epoch may be left from an earlier incarnation: it counts if no right one comes in its place.
  void insistOnEpoch() {
    if (otherEpoch_.ok() || !disagreement_.ok()) return;
    if (joined_[otherEpoch_.rank]) {
      otherEpoch_ = {};
    } else if (Clock::now() >= rightOneBy_) {
      disagreement_ = otherEpoch_;
    }
  }

  Status verdictOn(const Hello& hello) {
    if (hello.purpose != Purpose::Join) return failure("RendezvousRefused", "this is a rendezvous, not a data port");
    if (hello.epoch != options_.epoch) {
      return failure("WrongEpoch", "this group has epoch " + std::to_string(options_.epoch) + ", rank " +
                                       std::to_string(hello.rank) + " came with " + std::to_string(hello.epoch) +
                                       "; it belongs to another incarnation", hello.rank);
    }
    if (hello.size != options_.size) {
      return failure("WrongSize", "this group has " + std::to_string(options_.size) + " ranks, rank " +
                                      std::to_string(hello.rank) + " was started for " + std::to_string(hello.size),
                     hello.rank);
    }
    const bool isMember = hello.rank >= 1 && hello.rank < options_.size;
    // One that went away and comes again is none too many.
    if (isMember && joined_[hello.rank] && isGone(*joined_[hello.rank])) joined_[hello.rank].reset();
    if (!isMember || joined_[hello.rank]) {
      return failure("DuplicateRank", "rank " + std::to_string(hello.rank) + " is taken already; every rank joins once",
                     hello.rank);
    }
    return Status::success();
  }

  void welcome(Arrival arrival) {
    const int rank = arrival.hello.rank;
    roster_.members[rank] = arrival.hello.member;
    came_ |= uint64_t{1} << rank;
    joined_[rank] = ControlConnection{rank, std::move(arrival.socket), std::move(arrival.reader)};
  }

  uint64_t missing() const {
    uint64_t mask = 0;
    for (int rank = 1; rank < options_.size; ++rank) {
      if (!joined_[rank]) mask |= uint64_t{1} << rank;
    }
    return mask;
  }

  /// Nothing is due from it before the roster: what it says is that it gave up.
  static bool isGone(const ControlConnection& joined) {
    char byte;
    const auto peeked = recv(joined.socket.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return peeked >= 0 || (peeked < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
  }

  /// Tells those who wait for whom; a rank that went away again may join anew.
  void tellWaiting() {
    const uint64_t mask = missing();
    for (auto& joined : joined_) {
      if (!joined) continue;
      ByteWriter writer;
      writer.put(mask);
      if (isGone(*joined) || !sendFrame(joined->socket.fd(), FrameType::Waiting, writer.bytes())) joined.reset();
    }
  }

  Status giveUp(Status status) {
    if (status.rank < 0) status.rank = options_.rank;
    if (disagreement_.ok() && !refusal_.empty()) status.message += "; one that came was refused: " + refusal_;
    for (auto& joined : joined_) {
      if (joined) sendVerdict(joined->socket.fd(), status);
    }
    return status;
  }

  Status publish(Roster& roster) {
    ByteWriter writer;
    for (const Member& member : roster_.members) member.write(writer);
    for (auto& joined : joined_) {
      if (!joined) continue;
      // A rank that died just now is found by the liveness watch that takes over from here.
      sendFrame(joined->socket.fd(), FrameType::Roster, writer.bytes());
      roster_.control.push_back(std::move(*joined));
    }
    roster = std::move(roster_);
    return Status::success();
  }

  const GroupOptions& options_;
  Notices& notices_;
  std::vector<std::optional<ControlConnection>> joined_;
  Roster roster_;
  std::string refusal_;
  uint64_t came_ = 0;  ///< some may have left again
  /// Why the group cannot form. Those who have not come yet get some time to hear it.
  Status disagreement_;
  Deadline tellUntil_{};
  uint64_t told_ = 0;
  Status otherEpoch_;  ///< of a rank that is missing since
  Deadline rightOneBy_{};
};

/// Every other rank's side: dials until it is admitted, then waits for the roster.
class Guest {
 public:
  Guest(const GroupOptions& options, const Member& self) : options_(options) {
    hello_.rank = options.rank;
    hello_.size = options.size;
    hello_.epoch = options.epoch;
    hello_.member = self;
  }

  Status run(Deadline deadline, Roster& roster) {
    std::string lastTrouble = "nothing was tried";
    // Doubling from 10 ms to 500 ms: a rank 0 that is just starting is met at once, one that comes minutes later
    // costs two dials a second. The rank staggers the dials of many ranks that were started together.
    int pauseMs = 10 + options_.rank % 8;
    while (Clock::now() < deadline) {
      Status status = attempt(deadline, roster);
      if (status.code == "OutOfDescriptors") status.rank = options_.rank;
      if (status.code != "Unreachable") return status;
      lastTrouble = status.message;
      if (options_.mayDialAgain != nullptr && !options_.mayDialAgain(options_.mayDialAgainContext)) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(std::min(pauseMs, remainingMs(deadline))));
      pauseMs = std::min(pauseMs * 2, 500);
    }
    if (missing_ != 0) return timedOut(options_, missing_, 0);
    return failure("RendezvousTimeout", "rank 0 was not reached at " + options_.rendezvousHost + ":" +
                                            std::to_string(options_.rendezvousPort) + " within " +
                                            std::to_string(options_.rendezvousTimeoutMs) + " ms: " + lastTrouble, 0);
  }

 private:
  Status attempt(Deadline deadline, Roster& roster) {
    missing_ = 0;
    ControlConnection control;
    control.rank = 0;
    Status status = dialOnce(options_.rendezvousHost, options_.rendezvousPort, deadline, -1, control.socket);
    if (status.ok()) {
      // Half a second longer than rank 0 waits for a word.
      const Deadline patience = std::min(deadline, deadlineAfterMs(2'000));
      status = asPassing(introduce({control.socket.fd(), control.reader, patience, -1}, options_.secret, hello_));
    }
    if (!status.ok()) return status;
    return awaitRoster(std::move(control), deadline, roster);
  }

  Status awaitRoster(ControlConnection control, Deadline deadline, Roster& roster) {
    for (;;) {
      // Rank 0 speaks every tick; one that is silent this long is stopped or gone, and is dialled again.
      const Deadline patience = std::min(deadline, deadlineAfterMs(std::max(options_.livenessTimeoutMs, 10 * kTickMs)));
      Frame frame;
      const Conversation talk{control.socket.fd(), control.reader, patience, -1};
      const Status heard = talk.hear(frame);
      if (heard.code == "FrameCorrupt") return endOnDamage(talk, heard);
      if (!heard.ok()) return failure("Unreachable", "rank 0 went away while the group was forming: " + heard.message);
      ByteReader reader(frame.payload);
      if (frame.type == FrameType::Waiting) {
        missing_ = reader.get<uint64_t>();
      } else if (frame.type == FrameType::Verdict) {
        const Status verdict = readStatus(reader);
        if (reader.ok() && !verdict.ok()) return verdict;
        return failure("RendezvousRefused", "rank 0 ended the rendezvous in a way that cannot be read", 0);
      } else if (frame.type == FrameType::Roster) {
        for (int rank = 0; rank < options_.size; ++rank) roster.members.push_back(Member::read(reader));
        if (!reader.ok()) return failure("RendezvousRefused", "rank 0 sent a roster that cannot be read", 0);
        roster.control.push_back(std::move(control));
        return Status::success();
      }
    }
  }

  /// What is lost may be the roster, so that the others have begun: rank 0 is to hear why this rank leaves.
  Status endOnDamage(const Conversation& talk, const Status& heard) const {
    const Status status = failure("FrameCorrupt", "the side connection from rank 0 to rank " +
                                                      std::to_string(options_.rank) + ": " + heard.message, 0, "tcp");
    ByteWriter writer;
    writeStatus(writer, status);
    sendFrame(talk.fd, FrameType::Failure, writer.bytes());
    return status;
  }

  const GroupOptions& options_;
  Hello hello_;
  uint64_t missing_ = 0;
};

}  // namespace

Status rendezvous(const GroupOptions& options, const Member& self, Deadline deadline, Notices& notices,
                  Roster& roster) {
  if (options.rank == 0) return Host(options, self, notices).run(deadline, roster);
  return Guest(options, self).run(deadline, roster);
}

}  // namespace espalier::transport
