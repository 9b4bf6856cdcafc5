#include "transport/rendezvous/acceptor.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace espalier::transport {
namespace {

/// For each of the dialer's two words. Frames and HMACs take milliseconds; a busy host gets some hundred times that. The
/// group is to hear within 2 s of a way that lets connections through and nothing else.
constexpr int kExaminationMs = 1'500;
/// More connections than any group has ranks. Beyond it the oldest goes: a right rank dials again.
constexpr size_t kMaxPending = 128;
/// Out of descriptors: how long until the next look, and how long until that is no passing state.
constexpr auto kShortagePause = std::chrono::milliseconds(100);
constexpr auto kShortagePatience = std::chrono::milliseconds(1'000);

}  // namespace

Acceptor::Acceptor(Socket listener, std::string secret, const char* place, Notices& notices,
                   std::function<Status(const Hello&)> admit,
                   std::function<void(Arrival)> welcome)
    : listener_(std::move(listener)),
      secret_(std::move(secret)),
      place_(place),
      notices_(notices),
      admit_(std::move(admit)),
      welcome_(std::move(welcome)) {}

Acceptor::~Acceptor() {
  // All who were to come have come: these are strangers.
  for (const Pending& pending : pending_) report(pending, Refusal::Silent);
}

void Acceptor::watch(std::vector<pollfd>& fds) const {
  // A connection that cannot be taken keeps the listener readable.
  fds.push_back({isPaused() ? -1 : listener_.fd(), POLLIN, 0});
  for (const Pending& pending : pending_) fds.push_back({pending.socket.fd(), POLLIN, 0});
}

void Acceptor::step(int timeoutMs, int wakeFd) {
  std::vector<pollfd> fds;
  watch(fds);
  Deadline soonest = deadlineAfterMs(timeoutMs);
  if (isPaused()) soonest = std::min(soonest, pausedUntil_);
  for (const Pending& pending : pending_) soonest = std::min(soonest, pending.deadline);
  if (wakeFd >= 0) fds.push_back({wakeFd, POLLIN, 0});
  poll(fds.data(), static_cast<nfds_t>(fds.size()), remainingMs(soonest));
  const Deadline now = Clock::now();
  pending_.remove_if([&](Pending& pending) {
    if (!advance(pending)) return true;
    if (pending.deadline > now) return false;
    report(pending, Refusal::Silent);
    // A right rank whose words do not get through learns why it was refused.
    sendVerdict(pending.socket.fd(), handshakeTooLate());
    return true;
  });
  // A welcome takes as long as settling a link does: those who waited for their turn meanwhile were not slow.
  const auto away = Clock::now() - now;
  for (Pending& pending : pending_) pending.deadline += away;
  acceptAll();
}

void Acceptor::acceptAll() {
  for (size_t taken = 0; taken < kMaxPending; ++taken) {
    PeerAddress from;
    Socket socket = acceptOne(listener_, from);
    if (!socket.valid()) return noteShortage(errno);
    shortSince_ = {};
    if (pending_.size() == kMaxPending) {
      report(pending_.front(), Refusal::Crowded);
      pending_.pop_front();
    }
    Pending& fresh = pending_.emplace_back();
    fresh.socket = std::move(socket);
    fresh.from = std::move(from);
    fresh.reader.limitTo(kMaxStrangerFrameBytes);
    fresh.deadline = deadlineAfterMs(kExaminationMs);
  }
}

void Acceptor::noteShortage(int error) {
  // Strangers give back what they hold at their deadline.
  if (!isShortage(error) || !pending_.empty()) {
    shortSince_ = {};
    if (isShortage(error)) pausedUntil_ = Clock::now() + kShortagePause;
    return;
  }
  const Deadline now = Clock::now();
  if (shortSince_ == Deadline{}) shortSince_ = now;
  pausedUntil_ = now + kShortagePause;
  if (now - shortSince_ >= kShortagePatience) shortage_ = outOfDescriptors("cannot take the other ranks' connections", error);
}

void Acceptor::report(const Pending& pending, Refusal refusal) {
  const bool challenged = pending.examination.challenged();
  switch (refusal) {
    case Refusal::Closed:
      return challenged ? report(pending, "Withdrew", "it left when challenged to prove the group's secret: it holds "
                                                      "another one, or none")
                        : report(pending, "Closed", "it closed the connection without a word, as a port scanner does");
    case Refusal::Garbage: return report(pending, "Garbage", "it does not speak this transport's handshake");
    case Refusal::Silent: return report(pending, "Silent", "it did not finish the handshake in time");
    case Refusal::Crowded:
      return report(pending, "Crowded", "more than " + std::to_string(kMaxPending) + " connections wait to be examined");
  }
}

void Acceptor::report(const Pending& pending, const std::string& cause, const std::string& text) {
  notices_.tell(std::string(place_) + cause + pending.from.host,
                std::string(place_) + ": refused " + pending.from.host + ":" + std::to_string(pending.from.port) + ": " +
                    text);
}

bool Acceptor::advance(Pending& pending) {
  for (;;) {
    Frame frame;
    const FrameResult read = pending.reader.read(pending.socket.fd(), frame);
    switch (read) {
      case FrameResult::NotYet: return true;
      case FrameResult::Closed:
      case FrameResult::Garbage:
        report(pending, read == FrameResult::Closed ? Refusal::Closed : Refusal::Garbage);
        // If it is a right rank whose words were damaged, it learns why it was refused.
        if (read == FrameResult::Garbage) sendVerdict(pending.socket.fd(), damaged());
        return false;
      case FrameResult::Frame: break;
    }
    switch (pending.examination.consume(pending.socket.fd(), frame, secret_)) {
      case Examination::Outcome::Continue: pending.deadline = deadlineAfterMs(kExaminationMs); continue;
      case Examination::Outcome::Refused: {
        const Status& verdict = pending.examination.verdict();
        if (verdict.ok()) {
          report(pending, Refusal::Garbage);
        } else {
          report(pending, verdict.code, verdict.message);
        }
        return false;
      }
      case Examination::Outcome::Proved: break;
    }
    const Status verdict = admit_(pending.examination.hello());
    if (!verdict.ok()) report(pending, verdict.code, verdict.message);
    if (sendVerdict(pending.socket.fd(), verdict) && verdict.ok()) {
      pending.reader.limitTo(kMaxFrameBytes);
      welcome_({std::move(pending.socket), std::move(pending.reader), pending.examination.hello()});
    }
    return false;
  }
}

}  // namespace espalier::transport
