#pragma once
#include <array>

#include "transport/link.h"

namespace espalier::transport::verbs {

/// Guesses the next message's header from those before it: a decode step makes the same calls again and again. Both
/// ends keep one per direction over the same headers, so they guess alike, and a header that was guessed need not
/// travel. A wrong guess costs 32 bytes, never a wrong header.
class Predictor {
 public:
  Header guess() const;
  void learn(const Header& header);

 private:
  struct Memory {
    Header after;  ///< with sequence 0: the key
    Header next;   ///< sequence: how much it went up
    bool used = false;
  };
  static size_t placeOf(const Header& header);

  Header last_{};
  std::array<Memory, 64> memories_{};
};

}  // namespace espalier::transport::verbs
