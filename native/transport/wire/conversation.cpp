#include "transport/wire/conversation.h"

#include <cerrno>

#include "transport/failure.h"

namespace espalier::transport {
namespace {

/// `error`: 0 when the peer ended it in order.
Status ended(int error) {
  if (error == 0) return failure("PeerLost", "the other end closed the connection");
  const bool deadWay = error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
  return deadWay ? failure("Unreachable", "nothing answers any more: " + errnoText(error))
                 : failure("PeerLost", "the connection broke: " + errnoText(error));
}

}  // namespace

Status damaged() {
  return failure("FrameCorrupt",
                 "what came is no frame of this transport: it was damaged on the way, or another program wrote it");
}

Status Conversation::say(FrameType type, ByteView payload) const {
  errno = 0;
  return sendFrame(fd, type, payload) ? Status::success() : ended(errno);
}

Status Conversation::hear(Frame& frame) const {
  const FrameResult result = receiveFrame(fd, reader, frame, deadline, wakeFd);
  return result == FrameResult::Frame ? Status::success() : failureOf(result);
}

Status Conversation::hear(FrameType type, Frame& frame) const {
  const Status status = hear(frame);
  return status.ok() && frame.type != type ? damaged() : status;
}

Status Conversation::failureOf(FrameResult result) const {
  switch (result) {
    case FrameResult::Frame: break;
    case FrameResult::Garbage: return damaged();
    case FrameResult::Closed: return ended(reader.error());
    case FrameResult::NotYet: return failure("RendezvousTimeout", "nothing came over the connection in time");
  }
  return damaged();
}

}  // namespace espalier::transport
