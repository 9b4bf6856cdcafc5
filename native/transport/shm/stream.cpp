#include "transport/shm/stream.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace espalier::transport {

#if defined(__x86_64__)

void streamCopy(void* to, const void* from, size_t bytes) {
  auto* target = static_cast<char*>(to);
  const auto* source = static_cast<const char*>(from);
  const size_t head = (64 - reinterpret_cast<uintptr_t>(target) % 64) % 64;
  if (bytes < head + 64) {
    std::memcpy(target, source, bytes);
    return;
  }
  std::memcpy(target, source, head);
  size_t at = head;
  for (; at + 64 <= bytes; at += 64) {
    __m128i part[4];
    for (int i = 0; i < 4; ++i) part[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + at) + i);
    for (int i = 0; i < 4; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(target + at) + i, part[i]);
  }
  std::memcpy(target + at, source + at, bytes - at);
}

void streamFence() { _mm_sfence(); }

#else

void streamCopy(void* to, const void* from, size_t bytes) { std::memcpy(to, from, bytes); }
void streamFence() {}

#endif

}  // namespace espalier::transport
