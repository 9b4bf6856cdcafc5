#include "engine/step.h"

#include <algorithm>
#include <cstring>

namespace espalier::engine {
namespace {

struct Header {
  uint32_t magic = 0x45535031;  // "ESP1"
  uint32_t kind = 0;
  uint32_t segments = 0;
  uint32_t tokens = 0;
};

/// A decode step of a few sequences fits in one message of this size; a longer one sends its rest in a second.
constexpr size_t kFirstMessageBytes = 1024;

size_t encodedBytes(const Header& header) {
  return sizeof(Header) + header.segments * sizeof(StepSegment) + header.tokens * sizeof(int32_t);
}

std::vector<uint8_t> encode(const Step& step) {
  Header header;
  header.kind = static_cast<uint32_t>(step.kind);
  header.segments = static_cast<uint32_t>(step.segments.size());
  header.tokens = static_cast<uint32_t>(step.tokens.size());
  std::vector<uint8_t> bytes(std::max(encodedBytes(header), kFirstMessageBytes));
  uint8_t* next = bytes.data();
  std::memcpy(next, &header, sizeof header);
  next += sizeof header;
  const size_t segmentBytes = step.segments.size() * sizeof(StepSegment);
  if (segmentBytes > 0) std::memcpy(next, step.segments.data(), segmentBytes);
  next += segmentBytes;
  if (!step.tokens.empty()) std::memcpy(next, step.tokens.data(), step.tokens.size() * sizeof(int32_t));
  return bytes;
}

Status malformed(const std::string& what) {
  return Status::failure("PeerMismatch", "rank 0 sent a step that is not valid: " + what +
                                              ". Run the same version of Espalier on all ranks.");
}

Status checkHeader(const Header& header, const StepLimits& limits) {
  if (header.magic != Header{}.magic) return malformed("wrong magic number");
  if (header.kind > static_cast<uint32_t>(StepKind::Stop)) return malformed("unknown kind");
  if (header.segments > static_cast<uint32_t>(limits.slots)) return malformed("more segments than slots");
  if (header.tokens > static_cast<uint32_t>(limits.tokensPerStep)) return malformed("too many tokens");
  return Status::success();
}

Status checkSegments(const Step& step, const StepLimits& limits) {
  int64_t total = 0;
  for (const StepSegment& segment : step.segments) {
    if (segment.slot < 0 || segment.slot >= limits.slots) return malformed("slot out of range");
    if (segment.tokenCount < 1 || segment.firstPosition < 0 ||
        int64_t{segment.firstPosition} + segment.tokenCount > limits.contextLength) {
      return malformed("positions out of range");
    }
    total += segment.tokenCount;
  }
  if (total != static_cast<int64_t>(step.tokens.size())) return malformed("token counts disagree");
  for (const int32_t token : step.tokens) {
    if (token < 0 || token >= limits.vocabSize) return malformed("token out of range");
  }
  return Status::success();
}

Status decode(const std::vector<uint8_t>& bytes, const Header& header, const StepLimits& limits, Step& step) {
  step.kind = static_cast<StepKind>(header.kind);
  step.segments.resize(header.segments);
  step.tokens.resize(header.tokens);
  const uint8_t* next = bytes.data() + sizeof(Header);
  if (header.segments > 0) std::memcpy(step.segments.data(), next, header.segments * sizeof(StepSegment));
  next += header.segments * sizeof(StepSegment);
  if (header.tokens > 0) std::memcpy(step.tokens.data(), next, header.tokens * sizeof(int32_t));
  return checkSegments(step, limits);
}

}  // namespace

Status broadcastStep(transport::Group& world, const StepLimits& limits, Step& step) {
  if (world.size() == 1) return Status::success();
  const bool leads = world.rank() == 0;
  std::vector<uint8_t> bytes = leads ? encode(step) : std::vector<uint8_t>(kFirstMessageBytes);
  Status status = world.broadcast(bytes.data(), kFirstMessageBytes, transport::DataType::Uint8, 0);
  if (!status.ok()) return status;

  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (!leads) {
    status = checkHeader(header, limits);
    if (!status.ok()) return status;
  }
  const size_t total = encodedBytes(header);
  if (total > kFirstMessageBytes) {
    bytes.resize(total);
    status = world.broadcast(bytes.data() + kFirstMessageBytes, total - kFirstMessageBytes,
                             transport::DataType::Uint8, 0);
    if (!status.ok()) return status;
  }
  return leads ? Status::success() : decode(bytes, header, limits, step);
}

}  // namespace espalier::engine
