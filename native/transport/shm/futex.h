#pragma once
#include <atomic>
#include <cstdint>

namespace espalier::transport {

/// Sleeps while `word` is `seen`, at most `timeoutUs`; may wake early. Works across processes.
void sleepWhile(std::atomic<uint32_t>& word, uint32_t seen, int64_t timeoutUs);
/// Wakes all who sleep on `word`.
void wakeSleepers(std::atomic<uint32_t>& word);

}  // namespace espalier::transport
