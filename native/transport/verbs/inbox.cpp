#include "transport/verbs/inbox.h"

#include <algorithm>
#include <cstring>

#include "transport/verbs/frame_size.h"

namespace espalier::transport::verbs {

Inbox::Result Inbox::take(const Frame& frame) {
  const bool first = (frame.tag.flags & Tag::First) != 0;
  if (first == inside_) {
    wrong(first ? "a message began within another" : "a frame came that belongs to no message");
    return Result::Wrong;
  }
  uint32_t used = 0;
  if (first) {
    if (written_ - read_ == kStages) return Result::Full;
    if (!begin(frame, used)) return Result::Wrong;
  }
  const uint32_t expected = std::min(streamLeft_, frameDataBytes_);
  if (frame.bytes != paddedFrame(expected)) {
    wrong("a frame has " + std::to_string(frame.bytes) + " bytes, expected " + std::to_string(paddedFrame(expected)));
    return Result::Wrong;
  }
  Stage& stage = stages_[written_ % kStages];
  const uint32_t bytes = expected - used;
  if (bytes > 0) std::memcpy(stage.payload + got_, frame.data + used, bytes);
  got_ += bytes;
  streamLeft_ -= expected;
  inside_ = streamLeft_ > 0;
  if (!inside_) ++written_;
  return Result::Taken;
}

bool Inbox::begin(const Frame& frame, uint32_t& used) {
  think();
  Stage& stage = stages_[written_ % kStages];
  if ((frame.tag.flags & Tag::Headed) != 0) {
    if (frame.bytes < sizeof(Header)) return wrong("a frame is too short for its message's header");
    std::memcpy(&stage.header, frame.data, sizeof(Header));
    used = sizeof(Header);
  } else {
    stage.header = predictor_.guess();
  }
  if (stage.header.pieceBytes > kPieceBytes) return wrong("a message claims to be longer than any");
  last_ = written_;
  learned_ = false;
  const bool aimed = target_ != nullptr && read_ == written_ && targetBytes_ == stage.header.pieceBytes;
  stage.payload = aimed ? target_ : stage.memory;
  streamLeft_ = stage.header.pieceBytes + used;
  got_ = 0;
  return true;
}

void Inbox::think() {
  if (!learned_) predictor_.learn(stages_[last_ % kStages].header);
  learned_ = true;
  predictor_.think();
}

void Inbox::aim(std::byte* target, size_t bytes) {
  target_ = target;
  targetBytes_ = bytes;
}

Message Inbox::front() const {
  const Stage& stage = stages_[read_ % kStages];
  return {stage.header, stage.payload};
}

void Inbox::release() {
  ++read_;
  target_ = nullptr;
}

bool Inbox::wrong(std::string why) {
  why_ = std::move(why);
  return false;
}

}  // namespace espalier::transport::verbs
