#include "transport/tcp/tcp_link.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <string>
#include <vector>

namespace espalier::transport {
namespace {

constexpr size_t kAlign = 8;
constexpr size_t padded(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }
constexpr size_t kMaxMessageBytes = sizeof(Header) + kPieceBytes;
/// Room for three messages behind any that is held: what a collective may have in flight before its peer must take
/// something (reduceByBlocks), however little the kernel buffers. The fourth saves moving them too often.
constexpr size_t kStageBytes = 4 * kMaxMessageBytes;

class TcpLink final : public Link {
 public:
  TcpLink(Socket socket, const Bytes& early)
      : socket_(std::move(socket)), stage_(kStageBytes / sizeof(uint64_t)), end_(early.size()) {
    // At most one read of the handshake's 4 KiB.
    if (!early.empty()) std::memcpy(data(), early.data(), early.size());
  }

  LinkKind kind() const override { return LinkKind::Tcp; }

  LinkResult trySend(const Header& header, const void* payload) override {
    if (sendBroken_) return leftInOrder() ? LinkResult::Left : LinkResult::Broken;
    static constexpr char kZeros[kAlign] = {};
    const size_t bytes = header.pieceBytes;
    const size_t total = sizeof header + padded(bytes);
    if (!sending_) sent_ = 0;
    sending_ = true;
    while (sent_ < total) {
      iovec parts[3];
      int count = 0;
      const auto add = [&](const void* data, size_t begin, size_t length) {
        if (sent_ >= begin + length || length == 0) return;
        const size_t skip = sent_ > begin ? sent_ - begin : 0;
        parts[count++] = {const_cast<char*>(static_cast<const char*>(data)) + skip, length - skip};
      };
      add(&header, 0, sizeof header);
      add(payload, sizeof header, bytes);
      add(kZeros, sizeof header + bytes, padded(bytes) - bytes);
      msghdr message{};
      message.msg_iov = parts;
      message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
      const ssize_t wrote = sendmsg(socket_.fd(), &message, kFlags);
      if (wrote < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return LinkResult::NotYet;
        sendBroken_ = true;
        why_ = errnoText(errno);
        return leftInOrder() ? LinkResult::Left : LinkResult::Broken;
      }
      sent_ += static_cast<size_t>(wrote);
    }
    sending_ = false;
    return LinkResult::Done;
  }

  LinkResult tryReceive(Message& message) override {
    if (!whole(message)) {
      progress();
      if (!whole(message)) return receiveBroken_ ? LinkResult::Broken : LinkResult::NotYet;
    }
    if (message.header.operation == Operation::Goodbye) return LinkResult::Left;
    held_ = true;
    return LinkResult::Done;
  }

  void release() override {
    Header header;
    std::memcpy(&header, data() + begin_, sizeof header);
    begin_ += sizeof header + padded(header.pieceBytes);
    held_ = false;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  /// One read, as large as the stage has room for: header and payload come in one system call.
  void progress() override {
    if (receiveBroken_) return;
    if (!held_ && kStageBytes - begin_ < 3 * kMaxMessageBytes) {
      std::memmove(data(), data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == kStageBytes) return;
    const ssize_t got = recv(socket_.fd(), data() + end_, kStageBytes - end_, MSG_DONTWAIT);
    if (got > 0) {
      end_ += static_cast<size_t>(got);
    } else if (got == 0) {
      failReceive(0);
    } else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
      failReceive(errno);
    }
  }

  void leave() override {
    if (sendBroken_ || sending_) return;
    const Header goodbye = goodbyeHeader();
    sendSome(socket_.fd(), &goodbye, sizeof goodbye);
    shutdown(socket_.fd(), SHUT_WR);
    // Closing over unread bytes would reset the connection, and some systems then drop what the peer has not read.
    while (recv(socket_.fd(), data(), kStageBytes, MSG_DONTWAIT) > 0) continue;
  }

  int waitFd() const override { return socket_.fd(); }
  const char* why() const override { return why_.c_str(); }

 private:
#ifdef MSG_NOSIGNAL
  static constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
#else
  static constexpr int kFlags = MSG_DONTWAIT;
#endif

  char* data() { return reinterpret_cast<char*>(stage_.data()); }

  bool whole(Message& message) {
    if (end_ - begin_ < sizeof(Header)) return false;
    std::memcpy(&message.header, data() + begin_, sizeof(Header));
    if (message.header.pieceBytes > kPieceBytes) {
      failReceive(EPROTO);
      return false;
    }
    message.payload = reinterpret_cast<const std::byte*>(data() + begin_ + sizeof(Header));
    return end_ - begin_ >= sizeof(Header) + padded(message.header.pieceBytes);
  }

  void failReceive(int error) {
    receiveBroken_ = true;
    why_ = error == 0 ? "closed by the peer" : errnoText(error);
  }

  static Header goodbyeHeader() {
    Header header;
    header.operation = Operation::Goodbye;
    return header;
  }

  /// A peer that leaves sends its goodbye last, possibly behind data that nobody has asked for yet.
  bool leftInOrder() {
    progress();
    const Header goodbye = goodbyeHeader();
    return end_ - begin_ >= sizeof goodbye && std::memcmp(data() + end_ - sizeof goodbye, &goodbye, sizeof goodbye) == 0;
  }

  Socket socket_;
  std::vector<uint64_t> stage_;  ///< 64-bit words, for the alignment
  size_t begin_ = 0, end_ = 0;
  size_t sent_ = 0;
  bool sending_ = false, held_ = false, sendBroken_ = false, receiveBroken_ = false;
  std::string why_;
};

}  // namespace

std::unique_ptr<Link> makeTcpLink(Socket socket, const Bytes& early) {
  return std::make_unique<TcpLink>(std::move(socket), early);
}

}  // namespace espalier::transport
