#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "transport/verbs/frame_size.h"
#include "transport/verbs/predictor.h"
#include "transport/verbs/tag.h"

namespace espalier::transport::verbs {

/// Puts frames together to messages, in memory of its own or right where they are wanted, and checks on the way that
/// each is the one that must come next. A message of one frame may stay where it came.
class Inbox {
 public:
  /// A frame without what served to carry it.
  struct Frame {
    Tag tag;
    const std::byte* data = nullptr;
    uint32_t bytes = 0;
  };
  enum class Result : uint8_t { Taken, Kept, Full, Wrong };

  /// `frameDataBytes`: what a full frame carries.
  explicit Inbox(uint32_t frameDataBytes)
      : frameDataBytes_(frameDataBytes), memory_(new std::byte[kStages * kPieceBytes]) {}

  /// Kept: the frame is a message by itself and its memory belongs to the inbox until release() gives it back.
  /// Full: come again after a release. Wrong: why() tells; nothing of the frame was used.
  Result take(const Frame& frame);
  /// As Link::aim.
  void aim(std::byte* target, size_t bytes) {
    target_ = target;
    targetBytes_ = bytes;
  }
  /// Prepares for the next message, when there is time.
  void think() { predictor_.think(); }
  bool ready() const { return read_ != written_; }
  const Message& front() const { return stages_[read_ % kStages].message; }
  /// The frame that was kept for the message that stood in front, or null.
  const std::byte* release() {
    target_ = nullptr;
    return stages_[read_++ % kStages].kept;
  }
  const std::string& why() const { return why_; }

  /// What a collective may have in flight before its peer must take something, and one that is held.
  static constexpr uint32_t kStages = 4;

 private:
  struct alignas(64) Stage {
    Message message;
    const std::byte* kept = nullptr;  ///< the frame that the payload lies in, or null
  };
  std::byte* memoryOf(uint32_t message) const { return memory_.get() + message % kStages * kPieceBytes; }
  Result begin(const Frame& frame, uint32_t& used);
  Result wrong(std::string why);

  const uint32_t frameDataBytes_;
  std::unique_ptr<std::byte[]> memory_;  ///< a longest message for each stage
  std::array<Stage, kStages> stages_;
  uint32_t read_ = 0, written_ = 0;  ///< whole messages, counted up
  bool inside_ = false;              ///< some frames of message `written_` have come
  std::byte* copyTo_ = nullptr;      ///< where its payload goes on
  uint32_t streamLeft_ = 0;          ///< bytes of header and payload to come
  std::byte* target_ = nullptr;
  size_t targetBytes_ = 0;
  Predictor predictor_;
  std::string why_;
};

inline Inbox::Result Inbox::take(const Frame& frame) {
  const bool first = (frame.tag.flags & Tag::First) != 0;
  if (first == inside_) [[unlikely]] {
    return wrong(first ? "a message began within another" : "a frame came that belongs to no message");
  }
  uint32_t used = 0;
  if (first) {
    if (written_ - read_ == kStages) return Result::Full;
    if (const Result result = begin(frame, used); result != Result::Taken) return result;
  }
  const uint32_t expected = std::min(streamLeft_, frameDataBytes_);
  if (frame.bytes != paddedFrame(expected)) [[unlikely]] {
    return wrong("a frame has " + std::to_string(frame.bytes) + " bytes, expected " +
                 std::to_string(paddedFrame(expected)));
  }
  streamLeft_ -= expected;
  inside_ = streamLeft_ > 0;
  if (first) {
    Stage& stage = stages_[written_ % kStages];
    const bool aimed = target_ != nullptr && read_ == written_ && targetBytes_ == stage.message.header.pieceBytes;
    if (!inside_ && !aimed) {
      stage.kept = frame.data;
      stage.message.payload = frame.data + used;
      ++written_;
      return Result::Kept;
    }
    stage.kept = nullptr;
    stage.message.payload = copyTo_ = aimed ? target_ : memoryOf(written_);
  }
  const uint32_t bytes = expected - used;
  if (bytes > 0) std::memcpy(copyTo_, frame.data + used, bytes);
  copyTo_ += bytes;
  if (!inside_) ++written_;
  return Result::Taken;
}

inline Inbox::Result Inbox::begin(const Frame& frame, uint32_t& used) {
  Header& header = stages_[written_ % kStages].message.header;
  if ((frame.tag.flags & Tag::Headed) != 0) {
    if (frame.bytes < sizeof(Header)) [[unlikely]] return wrong("a frame is too short for its message's header");
    std::memcpy(&header, frame.data, sizeof(Header));
    used = sizeof(Header);
    predictor_.learn(header);
  } else {
    header = predictor_.guess();
    predictor_.confirm();
  }
  if (header.pieceBytes > kPieceBytes) [[unlikely]] return wrong("a message claims to be longer than any");
  streamLeft_ = header.pieceBytes + used;
  return Result::Taken;
}

[[gnu::cold, gnu::noinline]] inline Inbox::Result Inbox::wrong(std::string why) {
  why_ = std::move(why);
  return Result::Wrong;
}

}  // namespace espalier::transport::verbs
