#pragma once
#include <array>
#include <bit>

#include "transport/link.h"

namespace espalier::transport::verbs {

/// Guesses the next message's header from those before it: a decode step makes the same calls again and again. Both
/// ends keep one per direction over the same headers, so they guess alike, and a header that was guessed need not
/// travel. A wrong guess costs 32 bytes, never a wrong header.
class Predictor {
 public:
  /// What think() thought. Before it, a guess costs a search.
  const Header& guess() {
    if (!guessed_) search();
    return next_;
  }
  void learn(const Header& header) {
    if (guess() == header) return confirm();
    memories_[place_] = {key_, header, true};
    memories_[place_].next.sequence = header.sequence - last_.sequence;
    last_ = header;
    guessed_ = false;
  }
  /// The same for a header that is known to be the guess.
  void confirm() {
    if (repeats_) {
      last_.sequence = next_.sequence;
      next_.sequence += step_;
    } else {
      last_ = next_;
      guessed_ = false;
    }
  }
  /// Guesses ahead, when there is time.
  void think() { guess(); }

 private:
  static size_t placeOf(const Header& header) {
    const auto words = std::bit_cast<std::array<uint64_t, sizeof(Header) / sizeof(uint64_t)>>(header);
    uint64_t hash = 0;
    for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15;
    return hash >> 58;
  }
  void search() {
    key_ = last_;
    key_.sequence = 0;
    place_ = placeOf(key_);
    const Memory& memory = memories_[place_];
    const bool known = memory.used && memory.after == key_;
    next_ = known ? memory.next : last_;
    step_ = known ? memory.next.sequence : 1;
    next_.sequence = 0;
    repeats_ = next_ == key_;
    next_.sequence = last_.sequence + step_;
    guessed_ = true;
  }

  struct Memory {
    Header after;  ///< with sequence 0: the key
    Header next;   ///< sequence: how much it went up
    bool used = false;
  };

  Header last_{};
  std::array<Memory, 64> memories_{};
  // The guess after last_, where it comes from and whether it is made.
  Header key_{}, next_{};
  size_t place_ = 0;
  uint32_t step_ = 1;     ///< from last_'s number to next_'s
  bool repeats_ = false;  ///< nothing but the number differs, so the guess after next_ is the same
  bool guessed_ = false;
};

}  // namespace espalier::transport::verbs
