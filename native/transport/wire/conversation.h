#pragma once
#include "status.h"
#include "transport/wire/frame.h"

namespace espalier::transport {

/// A connection over which two ranks agree on something: each knows what the other says next. Failures tell what befell
/// the connection; who was at its ends the caller adds:
///   FrameCorrupt       what came is not what a rank says here
///   PeerLost           the connection ended or broke
///   Unreachable        the peer's host has not answered for too long
///   RendezvousTimeout  nothing came by the deadline, or before `wakeFd` was raised
struct Conversation {
  int fd = -1;
  FrameReader& reader;
  Deadline deadline;
  int wakeFd = -1;

  Status say(FrameType type, ByteView payload) const;
  Status hear(Frame& frame) const;
  /// Anything but a frame of `type` is damage.
  Status hear(FrameType type, Frame& frame) const;
  /// Why `result`, which the reader gave, is no frame.
  Status failureOf(FrameResult result) const;
};

/// What came is not what a rank says here.
Status damaged();

}  // namespace espalier::transport
