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
  void think() {
    if (!learned_) predictor_.learn(stages_[last_ % kStages].header);
    learned_ = true;
    predictor_.think();
  }
  bool ready() const { return read_ != written_; }
  Message front() const {
    const Stage& stage = stages_[read_ % kStages];
    return {stage.header, stage.payload};
  }
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
    Header header;
    const std::byte* payload = nullptr;
    std::byte* copyTo = nullptr;
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
  uint32_t got_ = 0;                 ///< bytes of its payload
  uint32_t streamLeft_ = 0;          ///< bytes of header and payload to come
  std::byte* target_ = nullptr;
  size_t targetBytes_ = 0;
  Predictor predictor_;
  bool learned_ = true;              ///< the header of the last message that began
  uint32_t last_ = 0;                ///< stage of that message
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
  Stage& stage = stages_[written_ % kStages];
  const uint32_t bytes = expected - used;
  got_ += bytes;
  streamLeft_ -= expected;
  inside_ = streamLeft_ > 0;
  const bool aimed = stage.copyTo != memoryOf(written_);
  if (first && !inside_ && !aimed) {
    stage.kept = frame.data;
    stage.payload = frame.data + used;
  } else if (bytes > 0) {
    std::memcpy(stage.copyTo + got_ - bytes, frame.data + used, bytes);
  }
  if (!inside_) ++written_;
  return stage.kept != nullptr ? Result::Kept : Result::Taken;
}

inline Inbox::Result Inbox::begin(const Frame& frame, uint32_t& used) {
  think();
  Stage& stage = stages_[written_ % kStages];
  if ((frame.tag.flags & Tag::Headed) != 0) {
    if (frame.bytes < sizeof(Header)) [[unlikely]] return wrong("a frame is too short for its message's header");
    std::memcpy(&stage.header, frame.data, sizeof(Header));
    used = sizeof(Header);
  } else {
    stage.header = predictor_.guess();
  }
  if (stage.header.pieceBytes > kPieceBytes) [[unlikely]] return wrong("a message claims to be longer than any");
  last_ = written_;
  learned_ = false;
  streamLeft_ = stage.header.pieceBytes + used;
  got_ = 0;
  const bool aimed = target_ != nullptr && read_ == written_ && targetBytes_ == stage.header.pieceBytes;
  stage.payload = stage.copyTo = aimed ? target_ : memoryOf(written_);
  stage.kept = nullptr;
  return Result::Taken;
}

[[gnu::cold, gnu::noinline]] inline Inbox::Result Inbox::wrong(std::string why) {
  why_ = std::move(why);
  return Result::Wrong;
}

}  // namespace espalier::transport::verbs
