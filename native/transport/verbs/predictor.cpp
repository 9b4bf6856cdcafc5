#include "transport/verbs/predictor.h"

#include <bit>

namespace espalier::transport::verbs {
namespace {

Header withoutSequence(Header header) {
  header.sequence = 0;
  return header;
}

}  // namespace

size_t Predictor::placeOf(const Header& header) {
  const auto words = std::bit_cast<std::array<uint64_t, sizeof(Header) / sizeof(uint64_t)>>(header);
  uint64_t hash = 0;
  for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash >> 58;
}

Header Predictor::guess() const {
  const Header key = withoutSequence(last_);
  const Memory& memory = memories_[placeOf(key)];
  Header next = last_;
  uint32_t step = 1;
  if (memory.used && memory.after == key) {
    next = memory.next;
    step = memory.next.sequence;
  }
  next.sequence = last_.sequence + step;
  return next;
}

void Predictor::learn(const Header& header) {
  const Header key = withoutSequence(last_);
  Memory& memory = memories_[placeOf(key)];
  memory.used = true;
  memory.after = key;
  memory.next = header;
  memory.next.sequence = header.sequence - last_.sequence;
  last_ = header;
}

}  // namespace espalier::transport::verbs
