#pragma once
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

enum class FrameType : uint8_t {
  Hello = 1, Challenge, Proof, Verdict,  // handshake
  Waiting, Roster,                       // rendezvous
  Heartbeat, Failure, Goodbye,           // liveness
  LinkOffer, LinkAnswer,                 // one pair of ranks settles on a link
  RelayRequest,                          // asks a rank to pass data on to another
  VerbsEnd, VerbsReady,                  // two ranks set up a queue pair
};

struct Frame {
  FrameType type{};
  Bytes payload;
};

/// A frame on the wire: 3 bytes "esp", 1 byte type, 4 bytes length, 4 bytes CRC-32 of type, length and payload, payload.
inline constexpr size_t kMaxFrameBytes = 64 * 1024;
/// What a stranger may make us hold before it has proved who it is: a Hello has 500 bytes at most.
inline constexpr size_t kMaxStrangerFrameBytes = 4 * 1024;

/// Sends a whole frame. False when the connection is gone or its buffer is full; it is then of no more use.
bool sendFrame(int fd, FrameType type, ByteView payload = {});

enum class FrameResult : uint8_t { Frame, NotYet, Closed, Garbage };

/// Assembles frames from a non-blocking socket, a few bytes at a time if need be.
class FrameReader {
 public:
  /// Garbage: no frame, or one that was damaged on the way, or longer than the limit.
  FrameResult read(int fd, Frame& frame);
  /// After Closed: an errno, or 0 when the peer closed in order.
  int error() const { return error_; }
  void limitTo(size_t maxPayloadBytes) { maxPayloadBytes_ = maxPayloadBytes; }
  /// Bytes that came behind the last frame and belong to whoever uses the connection next.
  Bytes takeRest() { return std::move(buffer_); }

 private:
  FrameResult parse(Frame& frame);
  Bytes buffer_;
  int error_ = 0;
  size_t maxPayloadBytes_ = kMaxFrameBytes;
};

/// Waits for the next frame. NotYet: deadline passed or `wakeFd` was raised.
FrameResult receiveFrame(int fd, FrameReader& reader, Frame& frame, Deadline deadline, int wakeFd);

}  // namespace espalier::transport
