#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "transport/shm/host_team.h"

namespace espalier::transport {

/// How a vector is divided among the members of a team: one block each, and each block into chunks.
struct TeamBlocks {
  size_t bytes = 0;       ///< of the vector
  size_t strideBytes = 0;  ///< from one block to the next
  size_t chunkBytes = 0;  ///< of one block, travel together
  size_t outShift = 0;    ///< where in the vector the output begins

  HostTeam::Slice range(int member, uint32_t chunk) const {
    const auto place = static_cast<size_t>(member);
    const size_t limit = std::min((place + 1) * strideBytes, bytes);
    const size_t begin = std::min(place * strideBytes + chunk * chunkBytes, limit);
    return {begin, std::min(chunkBytes, limit - begin)};
  }
  uint32_t chunks() const {
    return chunkBytes == 0 ? 1 : static_cast<uint32_t>(std::max<size_t>(1, (strideBytes + chunkBytes - 1) / chunkBytes));
  }
};

}  // namespace espalier::transport
