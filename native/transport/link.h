#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "transport/group.h"

namespace espalier::transport {

/// Longest payload of one message that every link carries; longer transfers are cut into pieces. Small enough that a
/// piece stays in a core's second-level cache between the copy in and the reduction, large enough to hide the
/// per-message cost. A link may carry more (Link::maxPayloadBytes); what a group uses is Mesh::pieceBytes().
inline constexpr size_t kPieceBytes = 64 * 1024;

enum class Operation : uint8_t {
  AllReduce, AllGather, ReduceScatter, Broadcast, Send, Receive, Barrier, Split, Goodbye,
};
inline constexpr int kOperationCount = 9;
const char* operationName(Operation operation);

/// Travels in front of every payload. The receiver knows every field in advance; any difference means that
/// the two ranks do not run the same program.
struct Header {
  Operation operation = Operation::Barrier;
  DataType type = DataType::Uint8;
  ReduceOp reduce = ReduceOp::Sum;
  uint8_t root = 0;
  uint32_t sequence = 0;
  uint64_t callBytes = 0;  ///< bytes of the whole call on one rank
  uint32_t piece = 0;
  uint32_t pieceBytes = 0;  ///< bytes that follow this header
  uint64_t reserved = 0;

  /// As a whole: field by field it is nine branches, in every message's way.
  bool operator==(const Header& other) const {
    return ((word(0) ^ other.word(0)) | (word(1) ^ other.word(1)) | (word(2) ^ other.word(2)) |
            (word(3) ^ other.word(3))) == 0;
  }

 private:
  uint64_t word(size_t index) const {
    uint64_t bits;
    std::memcpy(&bits, reinterpret_cast<const std::byte*>(this) + index * sizeof bits, sizeof bits);
    return bits;
  }
};
static_assert(sizeof(Header) == 32 && std::has_unique_object_representations_v<Header>);

/// "allReduce #7 of 4096 bytes Float32 Sum".
std::string describeCall(const Header& header);

struct Message {
  Header header;
  const std::byte* payload = nullptr;
};

enum class LinkResult : uint8_t {
  Done,
  NotYet,
  Left,    ///< the peer closed the link in order and nothing more will come
  Broken,  ///< the link is gone without a goodbye; why() says more
  Lost,    ///< the link noticed that something on the way did not come; why() says more
  Corrupted,  ///< what came is not what a rank sends; why() says more
};

/// One ordered, reliable point-to-point connection to one peer. Never blocks, except in park(). Used by one
/// thread at a time.
class Link {
 public:
  virtual ~Link() = default;
  virtual LinkKind kind() const = 0;
  /// Longest payload of one message on this link, the same at both ends, at least kPieceBytes.
  virtual size_t maxPayloadBytes() const { return kPieceBytes; }

  /// What a transfer one way is best cut into, the same at both ends: the next piece is sent while one is taken.
  virtual size_t stepBytes() const { return maxPayloadBytes(); }

  /// Sends `header.pieceBytes` bytes at `payload`. NotYet: call again with the same arguments; the payload must
  /// stay as it is until Done. Done: the payload may be reused, the peer need not have seen it, but it will without any
  /// further call on this end: a peer that hears of a message and waits in vain for it takes it for lost.
  virtual LinkResult trySend(const Header& header, const void* payload) = 0;

  /// Before tryReceive: the link may put the next message's payload at `target` instead of memory of its own, if it
  /// has exactly `bytes`; Message::payload tells. Whatever comes, the bytes at `target` may change. The target must
  /// stay until that message is released. Calling it again for the same message changes nothing.
  virtual void aim(std::byte* target, size_t bytes) {}
  /// Done: `message` shows the next message in place (payload 8-byte aligned), valid until release().
  /// Calling again before release() gives the same message.
  virtual LinkResult tryReceive(Message& message) = 0;
  virtual void release() = 0;

  /// Moves bytes that the peer may be waiting to be rid of, while a message is still held.
  virtual void progress() {}

  /// Tells the peer that this end goes away in order. Nothing is sent after it. Destruction without it is silent:
  /// the peer learns the reason over the side channel.
  virtual void leave() = 0;

  /// The descriptor to poll while waiting, or -1 for a link that has its own park().
  virtual int waitFd() const { return -1; }
  /// The same for a link that cannot send now, where that is another descriptor.
  virtual int sendWaitFd() const { return waitFd(); }
  /// Right before sleeping on waitFd(). False: something came just now, so look again instead.
  virtual bool prepareToWait() { return true; }
  /// Sleeps until the link may progress or `timeoutUs` passed. Only for links without a descriptor.
  virtual void park(bool forReceive, int64_t timeoutUs) {}
  /// Grows while parts of a message come in that is not whole yet.
  virtual uint64_t bytesHeard() const { return 0; }
  /// Whether what this end sent has gone unanswered by the peer's system for `patience`, although it was sent again:
  /// then why() says so. A peer that is merely busy answers. Call it several times within `patience`.
  virtual bool isUnanswered(std::chrono::milliseconds patience) { return false; }
  virtual const char* why() const { return ""; }
  /// After Broken: why() is a fact of this host (its port is down), so the peer's fate has nothing to add.
  virtual bool brokeHere() const { return false; }
};

}  // namespace espalier::transport
