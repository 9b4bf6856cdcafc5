#pragma once
#include <cstdint>
#include <cstring>

#include "transport/link.h"

namespace espalier::transport {

/// What stands in Header::reserved on a byte stream, and again behind the payload: 64 bits over all other fields of
/// the header. A receiver that has lost its place in the stream, or is fed by somebody else, notices before
/// it uses a byte. The one behind the payload also carries the payload's sum (payload_sum.h).
inline uint64_t sealOf(Header header) {
  header.reserved = 0;
  uint64_t words[sizeof header / sizeof(uint64_t)];
  std::memcpy(words, &header, sizeof header);
  uint64_t seal = 0x6573'7061'6c69'6572;  // "espalier"
  for (const uint64_t word : words) {
    seal = (seal ^ word) * 0x9e37'79b9'7f4a'7c15;
    seal ^= seal >> 29;
  }
  return seal;
}

}  // namespace espalier::transport
