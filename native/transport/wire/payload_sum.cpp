#include "transport/wire/payload_sum.h"

#include <cstring>

namespace espalier::transport {
namespace {

constexpr size_t kRowBytes = 64, kLanes = kRowBytes / sizeof(uint64_t);
/// Words of one block are added up; from block to block the lanes are turned, so that blocks cannot trade places.
constexpr size_t kBlockBytes = 512;
constexpr int kTurn = 9;

#define ESPALIER_SUM sumBlocksPlainly
#define ESPALIER_TARGET
#define ESPALIER_VECTOR_BYTES 16
#include "transport/wire/payload_sum.inc"
#undef ESPALIER_SUM
#undef ESPALIER_TARGET
#undef ESPALIER_VECTOR_BYTES

#if defined(__x86_64__)
#define ESPALIER_SUM sumBlocksByAvx2
#define ESPALIER_TARGET __attribute__((target("avx2")))
#define ESPALIER_VECTOR_BYTES 32
#include "transport/wire/payload_sum.inc"
#undef ESPALIER_SUM
#undef ESPALIER_TARGET
#undef ESPALIER_VECTOR_BYTES
#endif

using SumBlocks = void (*)(const std::byte* data, size_t blocks, uint64_t* lanes);

SumBlocks fastest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return sumBlocksByAvx2;
#endif
  return sumBlocksPlainly;
}

}  // namespace

uint64_t payloadSum(const void* data, size_t bytes) {
  static const SumBlocks sumBlocks = fastest();
  if (bytes == 0) return 0;
  alignas(64) uint64_t lanes[kLanes] = {};
  const auto* from = static_cast<const std::byte*>(data);
  const size_t blocks = bytes / kBlockBytes;
  sumBlocks(from, blocks, lanes);
  if (const size_t rest = bytes % kBlockBytes; rest > 0) {
    alignas(64) std::byte last[kBlockBytes] = {};
    std::memcpy(last, from + blocks * kBlockBytes, rest);
    sumBlocks(last, 1, lanes);
  }
  uint64_t sum = bytes;
  for (const uint64_t lane : lanes) {
    sum = (sum ^ lane) * 0x9e37'79b9'7f4a'7c15;
    sum ^= sum >> 29;
  }
  return sum;
}

}  // namespace espalier::transport
