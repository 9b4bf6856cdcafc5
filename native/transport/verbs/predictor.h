#pragma once
#include <array>

#include "transport/link.h"

namespace espalier::transport::verbs {

/// Guesses the next message's header from those before it: a decode step makes the same calls again and again. Both
/// ends keep one per direction over the same headers, so they guess alike, and a header that was guessed need not
/// travel. A wrong guess costs 32 bytes, never a wrong header.
class Predictor {
 public:
  /// What think() thought. Before it, a guess costs a search.
  const Header& guess();
  void learn(const Header& header);
  /// Guesses ahead, when there is time.
  void think() { guess(); }

 private:
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
  bool guessed_ = false;
};

}  // namespace espalier::transport::verbs
