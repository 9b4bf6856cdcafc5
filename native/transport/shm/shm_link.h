#pragma once
#include <array>
#include <memory>

#include "transport/auth/sha256.h"
#include "transport/link.h"
#include "transport/shm/segment.h"

namespace espalier::transport {

/// Bytes of the segment that one pair of ranks shares.
size_t shmSegmentBytes();
/// Creator's side: prepares a fresh segment, marked with `nonce` so that the peer can tell it from any other.
void prepareShmSegment(Segment& segment, const Digest& nonce);
/// Opener's side: whether this is the very segment that the peer prepared.
bool isShmSegment(const Segment& segment, const Digest& nonce);
/// `side` is 0 for the creator and 1 for the opener.
std::unique_ptr<Link> makeShmLink(Segment segment, int side);

}  // namespace espalier::transport
