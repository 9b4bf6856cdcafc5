#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "transport/wire/bytes.h"

namespace espalier::transport {

using Digest = std::array<uint8_t, 32>;

/// SHA-256 (FIPS 180-4).
Digest sha256(ByteView message);
/// HMAC-SHA256 (RFC 2104).
Digest hmacSha256(ByteView key, ByteView message);
/// Compares in a time that does not depend on the contents.
bool sameDigest(const Digest& a, const Digest& b);
/// 32 bytes from the operating system's generator; false when it has none.
bool randomNonce(Digest& nonce);

}  // namespace espalier::transport
