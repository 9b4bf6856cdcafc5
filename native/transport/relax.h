#pragma once

namespace espalier::transport {

/// Tells the core that it spins: it saves power, and gives way to the other thread of its pair.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace espalier::transport
