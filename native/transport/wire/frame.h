#pragma once
#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

enum class FrameType : uint8_t {
  Hello = 1, Challenge, Proof, Verdict,  // handshake
  Waiting, Roster,                       // rendezvous
  Heartbeat, Failure, Goodbye,           // liveness
  LinkOffer, LinkAnswer,                 // one pair of ranks settles on a link
};

struct Frame {
  FrameType type{};
  Bytes payload;
};

/// A frame on the wire: 3 bytes "esp", 1 byte type, 4 bytes length, payload. At most 64 KiB.
inline constexpr size_t kMaxFrameBytes = 64 * 1024;

/// Sends a whole frame. False when the connection is gone or its buffer is full; it is then of no more use.
bool sendFrame(int fd, FrameType type, ByteView payload = {});

enum class FrameResult : uint8_t { Frame, NotYet, Closed, Garbage };

/// Assembles frames from a non-blocking socket, a few bytes at a time if need be.
class FrameReader {
 public:
  FrameResult read(int fd, Frame& frame);
  /// Bytes that came behind the last frame and belong to whoever uses the connection next.
  Bytes takeRest() { return std::move(buffer_); }

 private:
  FrameResult parse(Frame& frame);
  Bytes buffer_;
};

/// Waits for the next frame. NotYet: deadline passed or `wakeFd` was raised.
FrameResult receiveFrame(int fd, FrameReader& reader, Frame& frame, Deadline deadline, int wakeFd);

}  // namespace espalier::transport
