#include "transport/wire/frame.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

namespace espalier::transport {
namespace {
constexpr uint8_t kMagic[3] = {'e', 's', 'p'};
constexpr size_t kPrefixBytes = 8;
}  // namespace

bool sendFrame(int fd, FrameType type, ByteView payload) {
  ByteWriter writer;
  writer.putRaw(kMagic);
  writer.put(static_cast<uint8_t>(type));
  writer.put(static_cast<uint32_t>(payload.size()));
  writer.putRaw(payload);
  const Bytes& bytes = writer.bytes();
  return sendSome(fd, bytes.data(), bytes.size()) == static_cast<int64_t>(bytes.size());
}

FrameResult FrameReader::read(int fd, Frame& frame) {
  for (;;) {
    const FrameResult parsed = parse(frame);
    if (parsed != FrameResult::NotYet) return parsed;
    uint8_t chunk[4096];
    const ssize_t got = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (got == 0) return FrameResult::Closed;
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK ? FrameResult::NotYet : FrameResult::Closed;
    }
    buffer_.insert(buffer_.end(), chunk, chunk + got);
  }
}

FrameResult FrameReader::parse(Frame& frame) {
  for (size_t i = 0; i < sizeof kMagic && i < buffer_.size(); ++i) {
    if (buffer_[i] != kMagic[i]) return FrameResult::Garbage;
  }
  if (buffer_.size() < kPrefixBytes) return FrameResult::NotYet;
  ByteReader prefix(ByteView(buffer_).subspan(sizeof kMagic));
  const auto type = static_cast<FrameType>(prefix.get<uint8_t>());
  const auto length = prefix.get<uint32_t>();
  if (length > kMaxFrameBytes) return FrameResult::Garbage;
  if (buffer_.size() < kPrefixBytes + length) return FrameResult::NotYet;
  frame.type = type;
  frame.payload.assign(buffer_.begin() + kPrefixBytes, buffer_.begin() + kPrefixBytes + length);
  buffer_.erase(buffer_.begin(), buffer_.begin() + kPrefixBytes + length);
  return FrameResult::Frame;
}

FrameResult receiveFrame(int fd, FrameReader& reader, Frame& frame, Deadline deadline, int wakeFd) {
  for (;;) {
    const FrameResult result = reader.read(fd, frame);
    if (result != FrameResult::NotYet) return result;
    if (!waitFor(fd, POLLIN, deadline, wakeFd)) return FrameResult::NotYet;
  }
}

}  // namespace espalier::transport
