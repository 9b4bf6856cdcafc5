#include "transport/tcp/tcp_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace espalier::transport {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kStreamSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
constexpr int kStreamSendFlags = MSG_DONTWAIT;
#endif

/// At 0.2, 0.6 and 1.4 s after the first try, where the system doubles its patience from 0.2 s.
[[maybe_unused]] constexpr uint32_t kRetriesOfProof = 2;

bool isNotYet(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

msghdr messageOf(iovec* parts, int count) {
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  return message;
}

}  // namespace

Segments::Segments(std::initializer_list<iovec> parts) {
  for (const iovec& part : parts) {
    if (part.iov_len == 0) continue;
    parts_[count_++] = part;
    total_ += part.iov_len;
  }
}

int Segments::rest(iovec* into) const {
  int count = 0;
  size_t skip = done_;
  for (int i = 0; i < count_; ++i) {
    if (skip >= parts_[i].iov_len) {
      skip -= parts_[i].iov_len;
      continue;
    }
    into[count++] = {static_cast<std::byte*>(parts_[i].iov_base) + skip, parts_[i].iov_len - skip};
    skip = 0;
  }
  return count;
}

void Segments::absorb(const std::byte* from, size_t bytes) {
  iovec parts[kMost];
  const int count = rest(parts);
  done_ += bytes;
  for (int i = 0; i < count && bytes > 0; ++i) {
    const size_t part = std::min(bytes, parts[i].iov_len);
    std::memcpy(parts[i].iov_base, from, part);
    from += part;
    bytes -= part;
  }
}

void Segments::replay(std::byte* into) const {
  size_t bytes = done_;
  for (int i = 0; i < count_ && bytes > 0; ++i) {
    const size_t part = std::min(bytes, parts_[i].iov_len);
    std::memcpy(into, parts_[i].iov_base, part);
    into += part;
    bytes -= part;
  }
}

TcpStream::TcpStream(Socket socket, const Bytes& early, size_t capacity)
    : socket_(std::move(socket)),
      capacity_(std::max(capacity, early.size()) / sizeof(uint64_t) * sizeof(uint64_t) + sizeof(uint64_t)),
      stage_(new uint64_t[capacity_ / sizeof(uint64_t)]),
      end_(early.size()) {
  if (!early.empty()) std::memcpy(stage(), early.data(), early.size());
#ifdef TCP_RXT_CONNDROPTIME
  // macOS drops a connection whose retransmissions have gone unanswered for so long; there is no asking it.
  const int seconds = 1;
  setsockopt(socket_.fd(), IPPROTO_TCP, TCP_RXT_CONNDROPTIME, &seconds, sizeof seconds);
#endif
}

StreamResult TcpStream::push(Segments& out) {
  while (!out.complete()) {
    if (sendError_ != 0) return StreamResult::Broken;
    iovec parts[3];
    const msghdr message = messageOf(parts, out.rest(parts));
    const ssize_t wrote = sendmsg(socket_.fd(), &message, kStreamSendFlags);
    if (wrote >= 0) {
      out.advance(static_cast<size_t>(wrote));
    } else if (isNotYet(errno)) {
      return StreamResult::NotYet;
    } else {
      sendError_ = errno;
    }
  }
  return StreamResult::Done;
}

StreamResult TcpStream::pull(Segments& in) {
  if (const size_t ready = std::min(in.left(), aheadBytes()); ready > 0) {
    in.absorb(ahead(), ready);
    skip(ready);
  }
  if (in.complete()) return StreamResult::Done;
  if (receiveError_ != 0) return StreamResult::Broken;
  iovec parts[3];
  msghdr message = messageOf(parts, in.rest(parts));
  const ssize_t got = recvmsg(socket_.fd(), &message, MSG_DONTWAIT);
  if (got > 0) {
    in.advance(static_cast<size_t>(got));
    heard_ += static_cast<uint64_t>(got);
  } else {
    receiveFailed(got);
  }
  return in.complete() ? StreamResult::Done : receiveError_ != 0 ? StreamResult::Broken : StreamResult::NotYet;
}

void TcpStream::compact() {
  std::memmove(stage(), ahead(), aheadBytes());
  end_ -= begin_;
  begin_ = 0;
}

void TcpStream::readAhead(size_t bytes) {
  if (receiveError_ != 0 || end_ == capacity_) return;
  const ssize_t got = recv(socket_.fd(), stage() + end_, std::min(bytes, capacity_ - end_), MSG_DONTWAIT);
  if (got > 0) {
    end_ += static_cast<size_t>(got);
    heard_ += static_cast<uint64_t>(got);
  } else {
    receiveFailed(got);
  }
}

void TcpStream::skip(size_t bytes) {
  begin_ += bytes;
  if (begin_ == end_) begin_ = end_ = 0;
}

void TcpStream::putBack(const Segments& in) {
  in.replay(stage());
  end_ = in.done();
}

bool TcpStream::isUnanswered(std::chrono::milliseconds patience) {
#ifdef __linux__
  // Not TCP_USER_TIMEOUT: that also ends a connection whose window a live but busy peer keeps shut.
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(socket_.fd(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  const Deadline now = Clock::now();
  const Deadline answered = now - std::chrono::milliseconds(info.tcpi_last_ack_recv);
  // A peer that is busy answers each try, but has no room for what was sent: those tries do not count. Probes of a
  // shut window are not looked at, since a peer may leave them unanswered at its leisure (rate limits).
  const bool isNews = answered > answeredAt_ + std::chrono::milliseconds(20);
  if (isNews) answeredAt_ = answered;
  if (info.tcpi_retransmits < retriesAtAnswer_ || isNews) retriesAtAnswer_ = info.tcpi_retransmits;
  if (info.tcpi_retransmits == retriesAtAnswer_) silentSince_ = Deadline::max();
  if (info.tcpi_retransmits > retriesAtAnswer_) silentSince_ = std::min(silentSince_, now);
  return silentSince_ != Deadline::max() && now - silentSince_ >= patience &&
         info.tcpi_retransmits >= retriesAtAnswer_ + kRetriesOfProof;
#else
  return false;
#endif
}

void TcpStream::finish() {
  shutdown(socket_.fd(), SHUT_WR);
  while (recv(socket_.fd(), stage(), capacity_, MSG_DONTWAIT) > 0) continue;
}

void TcpStream::receiveFailed(int64_t got) {
  if (got == 0) {
    receiveError_ = kClosed;
  } else if (!isNotYet(errno)) {
    receiveError_ = errno;
  }
}

}  // namespace espalier::transport
