#pragma once
#include <algorithm>
#include <cstdint>

namespace espalier::transport::verbs {

/// Bytes that a frame's data takes on the wire: whole words, and never none.
constexpr uint32_t paddedFrame(uint32_t bytes) { return std::max<uint32_t>(8, (bytes + 7) / 8 * 8); }

}  // namespace espalier::transport::verbs
