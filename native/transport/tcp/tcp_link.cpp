#include "transport/tcp/tcp_link.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "transport/tcp/tcp_stream.h"
#include "transport/wire/payload_sum.h"
#include "transport/wire/seal.h"

namespace espalier::transport {
namespace {

constexpr size_t kAlign = 8;
/// The longest message. Every call costs both ends a round of locks and acknowledgements: on loopback 1 MiB takes
/// 129 µs both ways in one call, 206 in four.
constexpr size_t kMaxPayloadBytes = 1024 * 1024;
/// Payloads from here on are spread over all sockets.
constexpr size_t kStripedFromBytes = 128 * 1024;
/// Payloads from here on are read straight to where they are wanted. Smaller ones come with whatever is behind them,
/// in one read: a copy within the first-level cache costs less than a second system call.
constexpr size_t kPlacedFromBytes = 32 * 1024;
/// What is read behind a message that is still incomplete: the next header, or a whole short message.
constexpr size_t kGlanceBytes = 8 * 1024;
/// Behind every payload: padding, then the seal again, mixed with the payload's sum.
constexpr size_t kMaxTailBytes = kAlign - 1 + sizeof(uint64_t);

constexpr size_t tailBytes(size_t payload) { return (kAlign - payload % kAlign) % kAlign + sizeof(uint64_t); }
/// A message that is held, one before it, and three behind it: what a collective may have in flight before its peer
/// must take something (reduceByBlocks), however little the kernel buffers.
constexpr size_t kMessagesAhead = 5;

/// Parts start on cache lines; the last takes what is left.
constexpr size_t partBytes(size_t bytes, size_t spread) { return (bytes / spread + 63) / 64 * 64; }
/// The longest message, or part of one, that goes over one of so many sockets.
constexpr size_t mostPerSocket(size_t sockets) {
  const size_t payload = sockets == 1 ? kMaxPayloadBytes
                                      : std::max(kStripedFromBytes, partBytes(kMaxPayloadBytes, sockets));
  return sizeof(Header) + payload + kMaxTailBytes;
}

struct Tail {
  std::byte bytes[kMaxTailBytes] = {};
  void write(const void* payload, size_t length, uint64_t seal) {
    seal ^= payloadSum(payload, length);
    std::memcpy(bytes + tailBytes(length) - sizeof seal, &seal, sizeof seal);
  }
};

bool tailHolds(const std::byte* tail, const std::byte* payload, size_t length, uint64_t seal) {
  seal ^= payloadSum(payload, length);
  return std::memcmp(tail + tailBytes(length) - sizeof seal, &seal, sizeof seal) == 0;
}

class TcpLink final : public Link {
 public:
  explicit TcpLink(std::vector<TcpSocket> sockets)
      : mostBytes_(mostPerSocket(sockets.size())), out_(sockets.size()), in_(sockets.size()) {
    for (TcpSocket& one : sockets) {
      streams_.emplace_back(std::move(one.socket), one.early, kMessagesAhead * mostBytes_);
    }
  }

  LinkKind kind() const override { return LinkKind::Tcp; }
  size_t maxPayloadBytes() const override { return kMaxPayloadBytes; }

  LinkResult trySend(const Header& header, const void* payload) override {
    if (!sending_) startSending(header, const_cast<void*>(payload));
    bool done = true;
    for (size_t i = 0; i < spread_; ++i) {
      if (out_[i].segments.complete()) continue;
      const StreamResult result = streams_[i].push(out_[i].segments);
      if (result == StreamResult::Broken) return sendFailed(streams_[i]);
      done = done && result == StreamResult::Done;
    }
    if (!done) return LinkResult::NotYet;
    sending_ = false;
    return LinkResult::Done;
  }

  void aim(std::byte* target, size_t bytes) override {
    if (open_) return;
    target_ = bytes >= kPlacedFromBytes && bytes <= kMaxPayloadBytes ? target : nullptr;
    targetBytes_ = bytes;
  }

  LinkResult tryReceive(Message& message) override {
    if (corrupt_) return LinkResult::Corrupted;
    if (!open_ && !openMessage()) return troubled();
    if (header_.operation == Operation::Goodbye) return LinkResult::Left;
    if (!held_ && !(placed_ ? pullParts() : stageMessage())) return troubled();
    message.header = header_;
    message.payload = payload_;
    held_ = true;
    return LinkResult::Done;
  }

  void release() override {
    if (!placed_) streams_[0].skip(sizeof(Header) + header_.pieceBytes + tailBytes(header_.pieceBytes));
    open_ = held_ = placed_ = false;
    target_ = nullptr;
  }

  void progress() override {
    if (open_ && !held_ && placed_) {
      pullParts();
      return;
    }
    for (size_t i = 0; i < streams_.size(); ++i) {
      const bool holdsMessage = i == 0 && open_ && !placed_;
      if (!holdsMessage) streams_[i].makeRoom();
      streams_[i].readAhead(kMessagesAhead * mostBytes_);
    }
  }

  void leave() override {
    if (sending_) return;
    if (trySend(goodbyeHeader(), nullptr) != LinkResult::Done) return;
    for (TcpStream& stream : streams_) stream.finish();
  }

  int waitFd() const override {
    for (size_t i = 0; open_ && placed_ && i < streams_.size(); ++i) {
      if (!in_[i].sealed) return streams_[i].fd();
    }
    return streams_[0].fd();
  }
  int sendWaitFd() const override {
    for (size_t i = 0; sending_ && i < spread_; ++i) {
      if (!out_[i].segments.complete()) return streams_[i].fd();
    }
    return streams_[0].fd();
  }
  uint64_t bytesHeard() const override {
    uint64_t sum = 0;
    for (const TcpStream& stream : streams_) sum += stream.heard();
    return sum;
  }
  bool isUnanswered(std::chrono::milliseconds patience) override {
    bool dead = false;
    for (TcpStream& stream : streams_) dead |= stream.isUnanswered(patience);
    if (dead) why_ = "what was sent has not been acknowledged for " + std::to_string(patience.count()) + " ms";
    return dead;
  }
  const char* why() const override { return why_.c_str(); }

 private:
  struct Part {
    Segments segments;
    Tail tail;
    size_t bytes = 0;
    bool sealed = false;  ///< it has come whole, with its seal
  };

  static Header goodbyeHeader() {
    Header header;
    header.operation = Operation::Goodbye;
    header.reserved = sealOf(header);
    return header;
  }

  size_t spreadOf(size_t bytes) const { return bytes >= kStripedFromBytes ? streams_.size() : 1; }

  void startSending(const Header& header, void* payload) {
    sending_ = true;
    sealed_ = header;
    sealed_.reserved = sealOf(header);
    spread_ = spreadOf(header.pieceBytes);
    const size_t each = partBytes(header.pieceBytes, spread_);
    for (size_t i = 0; i < spread_; ++i) {
      Part& part = out_[i];
      const size_t begin = i * each;
      part.bytes = i + 1 == spread_ ? header.pieceBytes - begin : each;
      std::byte* const from = static_cast<std::byte*>(payload) + begin;
      part.tail.write(from, part.bytes, sealed_.reserved);
      const iovec head{&sealed_, i == 0 ? sizeof sealed_ : 0};
      part.segments = {head, {from, part.bytes},
                       {part.tail.bytes, tailBytes(part.bytes)}};
    }
  }

  LinkResult sendFailed(const TcpStream& stream) {
    if (leftInOrder()) return LinkResult::Left;
    why_ = errnoText(stream.sendError());
    return LinkResult::Broken;
  }

  /// A peer that leaves sends its goodbye last, possibly behind data that nobody has asked for yet.
  bool leftInOrder() {
    TcpStream& stream = streams_[0];
    stream.readAhead(kMessagesAhead * mostBytes_);
    const Header goodbye = goodbyeHeader();
    constexpr size_t kGoodbyeBytes = sizeof(Header) + tailBytes(0);
    return stream.aheadBytes() >= kGoodbyeBytes &&
           std::memcmp(stream.ahead() + stream.aheadBytes() - kGoodbyeBytes, &goodbye, sizeof goodbye) == 0;
  }

  /// Learns the next header: from what was read ahead, or by a read that takes the payload to its target as well.
  bool openMessage() {
    TcpStream& stream = streams_[0];
    if (stream.aheadBytes() >= sizeof(Header)) return openAhead();
    if (target_ == nullptr) {
      stream.makeRoom();  // a part of a header at the stage's end has none for its rest
      stream.readAhead(mostBytes_);
      return stream.aheadBytes() >= sizeof(Header) && openAhead();
    }
    const size_t spread = spreadOf(targetBytes_);
    aimParts(target_, targetBytes_, spread, true);
    Segments& first = in_[0].segments;
    stream.pull(first);
    if (first.done() >= sizeof(Header) && !readHeader(&headerIn_)) return false;
    if (first.done() >= sizeof(Header) && header_.pieceBytes == targetBytes_) {
      placed_ = true;
      return true;
    }
    // Not the message that was expected, or not even its header: it goes the usual way.
    open_ = false;
    stream.putBack(first);
    return stream.aheadBytes() >= sizeof(Header) && openAhead();
  }

  bool openAhead() {
    TcpStream& stream = streams_[0];
    if (!readHeader(stream.ahead())) return false;
    const size_t bytes = header_.pieceBytes;
    const size_t spread = spreadOf(bytes);
    const bool aimed = target_ != nullptr && targetBytes_ == bytes;
    placed_ = spread > 1 || (aimed && stream.aheadBytes() < sizeof(Header) + bytes + tailBytes(bytes));
    if (!placed_) return true;
    stream.skip(sizeof(Header));
    if (!aimed && !assembly_) assembly_.reset(new uint64_t[kMaxPayloadBytes / sizeof(uint64_t)]);
    aimParts(aimed ? target_ : reinterpret_cast<std::byte*>(assembly_.get()), bytes, spread, false);
    return true;
  }

  /// `withHeader`: the first stream's next bytes are the header.
  void aimParts(std::byte* target, size_t bytes, size_t spread, bool withHeader) {
    payload_ = target;
    const size_t each = partBytes(bytes, spread);
    for (size_t i = 0; i < streams_.size(); ++i) {
      Part& part = in_[i];
      part.sealed = i >= spread;
      if (part.sealed) continue;
      const size_t begin = i * each;
      part.bytes = i + 1 == spread ? bytes - begin : each;
      const iovec head{&headerIn_, withHeader && i == 0 ? sizeof headerIn_ : 0};
      part.segments = {head, {target + begin, part.bytes}, {part.tail.bytes, tailBytes(part.bytes)}};
    }
  }

  /// Takes on the header at `from` as the message that is open now.
  bool readHeader(const void* from) {
    std::memcpy(&header_, from, sizeof header_);
    seal_ = header_.reserved;
    header_.reserved = 0;
    if (seal_ != sealOf(header_) || header_.pieceBytes > kMaxPayloadBytes) {
      return corrupted("a header with a wrong seal");
    }
    open_ = true;
    return true;
  }

  bool pullParts() {
    for (size_t i = 0; i < streams_.size(); ++i) {
      Part& part = in_[i];
      if (part.sealed) continue;
      if (streams_[i].pull(part.segments) != StreamResult::Done) return false;
      part.sealed = tailHolds(part.tail.bytes, payload_ + i * partBytes(header_.pieceBytes, spreadOf(header_.pieceBytes)),
                              part.bytes, seal_);
      if (!part.sealed) return corrupted(kDamaged);
    }
    return true;
  }

  bool stageMessage() {
    TcpStream& stream = streams_[0];
    const size_t bytes = header_.pieceBytes;
    const size_t whole = sizeof(Header) + bytes + tailBytes(bytes);
    // Room for what may come while this message is held.
    if (stream.consumed() > mostBytes_) stream.compact();
    if (stream.aheadBytes() < whole) stream.readAhead(whole - stream.aheadBytes() + kGlanceBytes);
    if (stream.aheadBytes() < whole) return false;
    payload_ = stream.ahead() + sizeof(Header);
    return tailHolds(payload_ + bytes, payload_, bytes, seal_) || corrupted(kDamaged);
  }

  static constexpr const char* kDamaged = "a payload that is not the one its seal was made for";

  bool corrupted(const char* what) {
    corrupt_ = true;
    why_ = std::string("it sent ") + what;
    return false;
  }

  /// Why a message cannot be had: it has not come yet, or never will.
  LinkResult troubled() {
    if (corrupt_) return LinkResult::Corrupted;
    for (size_t i = 0; i < streams_.size(); ++i) {
      const TcpStream& stream = streams_[i];
      const bool needed = open_ && placed_ ? !in_[i].sealed : i == 0;
      if (stream.receiveError() == 0 || !needed) continue;
      why_ = stream.receiveError() == TcpStream::kClosed ? "closed by the peer" : errnoText(stream.receiveError());
      return LinkResult::Broken;
    }
    return LinkResult::NotYet;
  }

  const size_t mostBytes_;  ///< that one message takes on one socket
  std::vector<TcpStream> streams_;

  std::vector<Part> out_;
  Header sealed_;
  size_t spread_ = 1;
  bool sending_ = false;

  std::vector<Part> in_;
  Header headerIn_;  ///< as it comes, when it is read together with its payload
  Header header_;
  uint64_t seal_ = 0;
  const std::byte* payload_ = nullptr;
  std::unique_ptr<uint64_t[]> assembly_;  ///< where a striped payload goes that nobody has a target for
  std::byte* target_ = nullptr;
  size_t targetBytes_ = 0;
  bool open_ = false;    ///< header_ is the next message's
  bool placed_ = false;  ///< its payload goes to payload_, not through the stage
  bool held_ = false;
  bool corrupt_ = false;
  std::string why_;
};

}  // namespace

int tcpSocketCount(bool sameHost) { return sameHost ? 1 : 4; }

std::unique_ptr<Link> makeTcpLink(std::vector<TcpSocket> sockets) {
  return std::make_unique<TcpLink>(std::move(sockets));
}

}  // namespace espalier::transport
