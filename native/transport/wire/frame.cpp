#include "transport/wire/frame.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace espalier::transport {
namespace {
constexpr uint8_t kMagic[3] = {'e', 's', 'p'};
constexpr size_t kPrefixBytes = 12;

/// CRC-32 as in IEEE 802.3, bit by bit: frames are small and few.
uint32_t checksum(uint8_t type, uint32_t length, const uint8_t* payload) {
  uint32_t crc = ~0u;
  const auto absorb = [&](uint8_t byte) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1u)));
  };
  absorb(type);
  for (int shift = 0; shift < 32; shift += 8) absorb(static_cast<uint8_t>(length >> shift));
  for (uint32_t i = 0; i < length; ++i) absorb(payload[i]);
  return ~crc;
}
}  // namespace

bool sendFrame(int fd, FrameType type, ByteView payload) {
  const auto length = static_cast<uint32_t>(payload.size());
  const uint32_t check = checksum(static_cast<uint8_t>(type), length, payload.data());
  Bytes bytes(kPrefixBytes + payload.size());
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  bytes[sizeof kMagic] = static_cast<uint8_t>(type);
  std::memcpy(bytes.data() + 4, &length, sizeof length);
  std::memcpy(bytes.data() + 8, &check, sizeof check);
  if (length > 0) std::memcpy(bytes.data() + kPrefixBytes, payload.data(), length);
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
      if (errno == EAGAIN || errno == EWOULDBLOCK) return FrameResult::NotYet;
      error_ = errno;
      return FrameResult::Closed;
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
  const auto expected = prefix.get<uint32_t>();
  if (length > maxPayloadBytes_) return FrameResult::Garbage;
  if (buffer_.size() < kPrefixBytes + length) return FrameResult::NotYet;
  if (checksum(static_cast<uint8_t>(type), length, buffer_.data() + kPrefixBytes) != expected) {
    return FrameResult::Garbage;
  }
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
