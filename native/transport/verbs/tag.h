#pragma once
#include <cstdint>

namespace espalier::transport::verbs {

/// What every frame says of itself, in 32 bits: they travel as immediate data where both devices have it, so that a
/// payload of 4 KiB stays one packet, and otherwise at the head of the frame.
struct Tag {
  static constexpr uint32_t kModulus = 1u << 12;  ///< of `sequence` and `freed`; no window comes near it
  enum Flag : uint8_t {
    First = 1,     ///< begins a message
    Headed = 2,    ///< the message's header goes before its payload: it was not the one to expect
    Control = 4,   ///< carries nothing but this tag
    Goodbye = 8,   ///< with Control: the sender leaves in order
    Probe = 16,    ///< tries the way at set-up; takes part in no count
  };
  uint32_t sequence = 0;  ///< frame's number, modulo
  uint32_t freed = 0;     ///< frames that the sender has freed for its peer's use since the start, modulo
  uint8_t flags = 0;

  uint32_t pack() const { return (sequence % kModulus) << 20 | (freed % kModulus) << 8 | flags; }
  static Tag unpack(uint32_t word) {
    return {word >> 20, word >> 8 & (kModulus - 1), static_cast<uint8_t>(word & 0xff)};
  }
};

/// Forward distance from `from` to `to`, both modulo kModulus.
constexpr uint32_t stepsBetween(uint32_t from, uint32_t to) { return (to - from) % Tag::kModulus; }

}  // namespace espalier::transport::verbs
