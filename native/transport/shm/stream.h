#pragma once
#include <cstddef>

namespace espalier::transport {

/// memcpy past the caches, for what nobody reads soon: saves reading the old contents of the target, and leaves the
/// caches to others. Ordered before whatever is stored after streamFence().
/// Where it can: elsewhere streamCopy is memcpy.
#if defined(__x86_64__)
inline constexpr bool kCanStream = true;
#else
inline constexpr bool kCanStream = false;
#endif
void streamCopy(void* to, const void* from, size_t bytes);
void streamFence();

}  // namespace espalier::transport
