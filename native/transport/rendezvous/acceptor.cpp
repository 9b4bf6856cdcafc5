#include "transport/rendezvous/acceptor.h"

#include <poll.h>

#include <algorithm>
#include <vector>

namespace espalier::transport {
namespace {

/// Four frames and two HMACs take milliseconds; a busy host gets a thousand times that.
constexpr int kExaminationMs = 3'000;
/// More connections than any group has ranks. Beyond it the oldest goes: a right rank dials again.
constexpr size_t kMaxPending = 128;

}  // namespace

Acceptor::Acceptor(Socket listener, std::string secret, std::function<Status(const Hello&)> admit,
                   std::function<void(Arrival)> welcome)
    : listener_(std::move(listener)),
      secret_(std::move(secret)),
      admit_(std::move(admit)),
      welcome_(std::move(welcome)) {}

void Acceptor::step(int timeoutMs, int wakeFd) {
  std::vector<pollfd> fds = {{listener_.fd(), POLLIN, 0}};
  Deadline soonest = deadlineAfterMs(timeoutMs);
  for (const Pending& pending : pending_) {
    fds.push_back({pending.socket.fd(), POLLIN, 0});
    soonest = std::min(soonest, pending.deadline);
  }
  if (wakeFd >= 0) fds.push_back({wakeFd, POLLIN, 0});
  poll(fds.data(), static_cast<nfds_t>(fds.size()), remainingMs(soonest));
  const Deadline now = Clock::now();
  pending_.remove_if([&](Pending& pending) { return !advance(pending) || pending.deadline <= now; });
  acceptAll();
}

void Acceptor::acceptAll() {
  for (size_t taken = 0; taken < kMaxPending; ++taken) {
    Socket socket = acceptOne(listener_);
    if (!socket.valid()) return;
    if (pending_.size() == kMaxPending) pending_.pop_front();
    Pending& fresh = pending_.emplace_back();
    fresh.socket = std::move(socket);
    fresh.deadline = deadlineAfterMs(kExaminationMs);
  }
}

bool Acceptor::advance(Pending& pending) {
  for (;;) {
    Frame frame;
    switch (pending.reader.read(pending.socket.fd(), frame)) {
      case FrameResult::NotYet: return true;
      case FrameResult::Closed:
      case FrameResult::Garbage: return false;
      case FrameResult::Frame: break;
    }
    switch (pending.examination.consume(pending.socket.fd(), frame, secret_)) {
      case Examination::Outcome::Continue: continue;
      case Examination::Outcome::Refused: return false;
      case Examination::Outcome::Proved: break;
    }
    const Status verdict = admit_(pending.examination.hello());
    if (sendVerdict(pending.socket.fd(), verdict) && verdict.ok()) {
      welcome_({std::move(pending.socket), std::move(pending.reader), pending.examination.hello()});
    }
    return false;
  }
}

}  // namespace espalier::transport
