#include "transport/verbs/predictor.h"

#include <bit>

namespace espalier::transport::verbs {
namespace {

size_t placeOf(const Header& header) {
  const auto words = std::bit_cast<std::array<uint64_t, sizeof(Header) / sizeof(uint64_t)>>(header);
  uint64_t hash = 0;
  for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash >> 58;
}

}  // namespace

const Header& Predictor::guess() {
  if (guessed_) return next_;
  key_ = last_;
  key_.sequence = 0;
  place_ = placeOf(key_);
  const Memory& memory = memories_[place_];
  const bool known = memory.used && memory.after == key_;
  next_ = known ? memory.next : last_;
  next_.sequence = last_.sequence + (known ? memory.next.sequence : 1);
  guessed_ = true;
  return next_;
}

void Predictor::learn(const Header& header) {
  guess();
  Memory& memory = memories_[place_];
  memory.used = true;
  memory.after = key_;
  memory.next = header;
  memory.next.sequence = header.sequence - last_.sequence;
  last_ = header;
  guessed_ = false;
}

}  // namespace espalier::transport::verbs
