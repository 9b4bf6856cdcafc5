#pragma once
#include <cstdint>
#include <cstring>

namespace espalier::transport {

/// While it lives, this thread computes floats as every new thread does: to nearest even, subnormal numbers as they are. A
/// program may have other modes on some threads of some ranks (a library that was linked with -ffast-math flushes
/// subnormals from when it is loaded), and ranks that reduce the same numbers must get the same bits.
class OrdinaryModes {
 public:
  OrdinaryModes() {
    if (areOrdinary()) [[likely]] return;
    before_ = read();
    changed_ = true;
    write(kOrdinary);
  }
  ~OrdinaryModes() {
    if (changed_) [[unlikely]] write(before_);
  }
  OrdinaryModes(const OrdinaryModes&) = delete;
  OrdinaryModes& operator=(const OrdinaryModes&) = delete;

 private:
#if defined(__x86_64__)
  using Register = uint32_t;
  static constexpr Register kOrdinary = 0x1f80;
  static Register read() { return __builtin_ia32_stmxcsr(); }
  static void write(Register modes) { __builtin_ia32_ldmxcsr(modes); }
#define ESPALIER_VECTOR_REGISTER "+x"
#elif defined(__aarch64__)
  using Register = uint64_t;
  static constexpr Register kOrdinary = 0;
  static Register read() {
    Register modes;
    asm volatile("mrs %0, fpcr" : "=r"(modes));
    return modes;
  }
  static void write(Register modes) { asm volatile("msr fpcr, %0" : : "r"(modes) : "memory"); }
#define ESPALIER_VECTOR_REGISTER "+w"
#else
  using Register = uint32_t;
  static constexpr Register kOrdinary = 0;
  static Register read() { return kOrdinary; }
  static void write(Register) {}
#define ESPALIER_VECTOR_REGISTER "+m"
#endif

  /// By one addition: to read the register takes 13 ns on Zen 4, one part in thirty of a short all-reduce.
  static bool areOrdinary() {
    typedef float Floats __attribute__((vector_size(16)));
    // A subnormal difference, what is rounded up unless to or towards zero, what is rounded down unless up, subnormal
    // operands.
    Floats left = {0x1.8p-126f, 1, 1, 0x1p-140f};
    const Floats right = {-0x1p-126f, 0x1.8p-24f, 0x1p-25f, 0x1p-140f};
    const Floats sums = {0x1p-127f, 1 + 0x1p-23f, 1, 0x1p-139f};
    asm volatile("" : ESPALIER_VECTOR_REGISTER(left));  // not to be computed by the compiler
    left += right;
    return std::memcmp(&left, &sums, sizeof sums) == 0;
  }
#undef ESPALIER_VECTOR_REGISTER

  Register before_;
  bool changed_ = false;
};

}  // namespace espalier::transport
