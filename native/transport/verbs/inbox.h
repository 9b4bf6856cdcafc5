#pragma once
#include <array>
#include <memory>
#include <string>

#include "transport/verbs/predictor.h"
#include "transport/verbs/tag.h"

namespace espalier::transport::verbs {

/// Puts frames together to messages, in memory of its own or right where they are wanted, and checks on the way that
/// each is the one that must come next.
class Inbox {
 public:
  /// A frame without what served to carry it.
  struct Frame {
    Tag tag;
    const std::byte* data = nullptr;
    uint32_t bytes = 0;
  };
  enum class Result : uint8_t { Taken, Full, Wrong };

  /// `frameDataBytes`: what a full frame carries.
  explicit Inbox(uint32_t frameDataBytes) : frameDataBytes_(frameDataBytes), stages_(new Stage[kStages]) {}

  /// Full: come again after a release. Wrong: why() tells; nothing of the frame was used.
  Result take(const Frame& frame);
  /// As Link::aim.
  void aim(std::byte* target, size_t bytes);
  /// Prepares for the next message, when there is time.
  void think();
  bool ready() const { return read_ != written_; }
  Message front() const;
  void release();
  const std::string& why() const { return why_; }

 private:
  /// What a collective may have in flight before its peer must take something, and one that is held.
  static constexpr uint32_t kStages = 4;
  struct alignas(64) Stage {
    std::byte memory[kPieceBytes];
    Header header;
    std::byte* payload;
  };
  bool begin(const Frame& frame, uint32_t& used);
  bool wrong(std::string why);

  const uint32_t frameDataBytes_;
  std::unique_ptr<Stage[]> stages_;
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

}  // namespace espalier::transport::verbs
