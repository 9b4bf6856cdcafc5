#include <cfenv>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "test/check.h"
#include "transport/reduce/combine.h"
#include "transport/reduce/kernel_sets.h"
#include "transport/reduce/kernels.h"

namespace espalier::test {
namespace {

using namespace espalier::transport;

constexpr ReduceOp kAllOps[] = {ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min};

template <class T>
T fromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

template <class T>
std::string show(T value) {
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  char text[32];
  std::snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(bits));
  return text;
}

template <class T>
T definition(T a, T b, ReduceOp op) {
  if (op == ReduceOp::Sum) return transport::combine<T, ReduceOp::Sum>(a, b);
  return op == ReduceOp::Max ? transport::combine<T, ReduceOp::Max>(a, b) : transport::combine<T, ReduceOp::Min>(a, b);
}

/// Calls `body` with each kernel for T that can run here, the definition's own loops included.
template <class T, class Body>
void withKernels(DataType type, Body body) {
  for (const KernelSet* set : kKernelSets) {
    if (!set->runsHere()) continue;
    for (const ReduceOp op : kAllOps) {
      const Kernel kernel = set->find(type, op);
      const std::string what = std::string(set->name) + ", type " + std::to_string(static_cast<int>(type)) + ", op " +
                               std::to_string(static_cast<int>(op));
      if (kernel != nullptr) body(kernel, op, what);
    }
  }
}

template <class T>
void checkBits(const std::vector<T>& got, const std::vector<T>& a, const std::vector<T>& b, ReduceOp op,
               const std::string& what) {
  for (size_t i = 0; i < got.size(); ++i) {
    const T expected = definition(a[i], b[i], op);
    if (std::memcmp(&got[i], &expected, sizeof expected) == 0) continue;
    throw CheckFailure(what + ": " + show(a[i]) + " and " + show(b[i]) + " give " + show(got[i]) + ", expected " +
                       show(expected));
  }
}

/// Every value with zeros, subnormals, ties, the largest, infinities, and NaNs quiet and signalling, of both formats.
template <class Half>
void checkAllValues(DataType type) {
  const uint16_t others[] = {0,      0x8000, 1,      0x8001, 0x3ff,  0x400,  0x3c00, 0xbc00, 0x3c01, 0x7bff, 0xfbff,
                             0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xfe03, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7f81, 0x7fc0,
                             0xffc1, 0x0080, 0x007f, 0x3f80, 0x3f81, 0x1000, 0x1001, 0x6400, 0x6401};
  constexpr size_t kCount = 0x10000 + 7;  // and a tail
  std::vector<Half> all(kCount), other(kCount), got(kCount);
  for (size_t i = 0; i < kCount; ++i) all[i].bits = static_cast<uint16_t>(i * 40'503);
  withKernels<Half>(type, [&](Kernel kernel, ReduceOp op, const std::string& what) {
    for (const uint16_t bits : others) {
      std::fill(other.begin(), other.end(), Half{bits});
      for (const bool swapped : {false, true}) {
        const auto &a = swapped ? other : all, &b = swapped ? all : other;
        kernel(got.data(), a.data(), b.data(), kCount);
        checkBits(got, a, b, op, what);
      }
    }
  });
}

TEST("every kernel for 16-bit floats has the bits of the definition on every value") {
  checkAllValues<Float16>(DataType::Float16);
  checkAllValues<BFloat16>(DataType::BFloat16);
}

/// Mostly ordinary numbers, and in some eighths of the data any bits at all: NaNs must not hide among themselves.
template <class T>
std::vector<T> someValues(size_t count, std::mt19937_64& random) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) {
    uint64_t bits = random();
    if constexpr (std::is_same_v<T, float>) {
      const uint64_t specials[] = {0,          0x80000000, 1,          0x80000001, 0x7fffff,   0x800000,  0x7f7fffff,
                                   0xff7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xff812345, 0x7fc00000, 0xffc00001};
      if (i / 64 % 2 == 0 || bits % 3 == 0) bits = 0x3f800000 | (bits >> 8 & 0x80ffffff);
      else if (bits % 3 == 1) bits = specials[bits / 3 % std::size(specials)];
    }
    values[i] = fromBits<T>(bits);
  }
  return values;
}

template <class T>
void checkRandomPairs(DataType type, uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<T> a = someValues<T>(200'003, random), b = someValues<T>(200'003, random);
  std::vector<T> got(a.size());
  withKernels<T>(type, [&](Kernel kernel, ReduceOp op, const std::string& what) {
    kernel(got.data(), a.data(), b.data(), got.size());
    checkBits(got, a, b, op, what);
  });
}

/// All short lengths at all places within a line, and some that are more than a kernel takes at a time, out of place and in
/// place of either input.
template <class T>
void checkPlaces(DataType type, uint64_t seed) {
  std::mt19937_64 random(seed);
  constexpr size_t kMost = 2'100, kGuard = 9;
  const std::vector<T> left = someValues<T>(2 * kMost, random), right = someValues<T>(2 * kMost, random);
  withKernels<T>(type, [&](Kernel kernel, ReduceOp op, const std::string& what) {
    for (size_t count = 0; count <= kMost - 20; count += count < 70 ? 1 : count < 150 ? 13 : 617) {
      const auto room = static_cast<std::ptrdiff_t>(count) + 20;
      for (size_t shift = 0; shift < 5; ++shift) {
        const std::vector<T> a(left.begin() + shift, left.begin() + shift + count);
        const std::vector<T> b(right.begin() + 2 * shift, right.begin() + 2 * shift + count);
        for (int place = 0; place < 3; ++place) {
          std::vector<T> out(left.begin(), left.begin() + 2 * room), theirs(right.begin(), right.begin() + room);
          T* to = place == 2 ? theirs.data() + 2 * shift : out.data() + shift + (place == 0 ? room : 0);
          const std::vector<T> behind(to + count, to + count + kGuard);
          kernel(to, out.data() + shift, theirs.data() + 2 * shift, count);
          checkBits(std::vector<T>(to, to + count), a, b, op, what + ", " + std::to_string(count) + " elements");
          if (std::memcmp(behind.data(), to + count, kGuard * sizeof(T)) != 0) throw CheckFailure(what + " goes too far");
        }
      }
    }
  });
}

template <class T>
void checkType(DataType type) {
  checkRandomPairs<T>(type, 1 + static_cast<uint64_t>(type));
  checkPlaces<T>(type, 100 + static_cast<uint64_t>(type));
}

TEST("every kernel has the bits of the definition on random bits, at any place, length and in place") {
  checkType<float>(DataType::Float32);
  checkType<Float16>(DataType::Float16);
  checkType<BFloat16>(DataType::BFloat16);
  checkType<int8_t>(DataType::Int8);
  checkType<int16_t>(DataType::Int16);
  checkType<int32_t>(DataType::Int32);
  checkType<int64_t>(DataType::Int64);
  checkType<uint8_t>(DataType::Uint8);
  checkType<uint16_t>(DataType::Uint16);
  checkType<uint32_t>(DataType::Uint32);
  checkType<uint64_t>(DataType::Uint64);
}

/// Runs `body` as on a thread whose floating-point modes somebody else has changed: a library that was linked with
/// -ffast-math does so when it is loaded.
template <class Body>
void inOtherModes(Body body) {
#if defined(__x86_64__)
  constexpr unsigned kFlushAndDenormalsAreZero = 0x8040, kRoundUp = 0x4000;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(before | kFlushAndDenormalsAreZero | kRoundUp);
  body();
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK_EQ(after & (kFlushAndDenormalsAreZero | kRoundUp), kFlushAndDenormalsAreZero | kRoundUp);
#else
  std::fesetround(FE_UPWARD);
  body();
  const int after = std::fegetround();
  std::fesetround(FE_TONEAREST);
  CHECK_EQ(after, FE_UPWARD);
#endif
}

template <class T>
void checkInOtherModes(DataType type) {
  constexpr size_t kCount = 1'003;
  std::vector<T> a(kCount), b(kCount), pair(kCount), tree(kCount);
  // Subnormal numbers of every size, and a few that are large enough to round.
  for (uint32_t i = 0; i < kCount; ++i) {
    a[i] = fromBits<T>(i * 2'654'435'761u % (sizeof(T) == 4 ? 0x800000u : 0x400u) + (i % 5 == 0 ? 0x3f800000u >> (32 - 8 * sizeof(T)) : 0));
    b[i] = fromBits<T>(i + 1);
  }
  const void* inputs[] = {a.data(), b.data(), a.data()};
  for (const ReduceOp op : {ReduceOp::Sum, ReduceOp::Max}) {
    inOtherModes([&] {
      reducePair(pair.data(), a.data(), b.data(), kCount, type, op);
      reduceTree(tree.data(), inputs, 3, kCount, type, op);
    });
    std::vector<T> rightPair(kCount), rightTree(kCount);
    reducePair(rightPair.data(), a.data(), b.data(), kCount, type, op);
    reduceTree(rightTree.data(), inputs, 3, kCount, type, op);
    for (size_t i = 0; i < kCount; ++i) {
      if (std::memcmp(&pair[i], &rightPair[i], sizeof(T)) == 0 && std::memcmp(&tree[i], &rightTree[i], sizeof(T)) == 0) continue;
      throw CheckFailure("element " + std::to_string(i) + " of " + std::to_string(sizeof(T)) + " bytes differs");
    }
  }
}

TEST("a reduction's bits do not depend on the modes that the calling thread computes in") {
  checkInOtherModes<float>(DataType::Float32);
  checkInOtherModes<Float16>(DataType::Float16);
  checkInOtherModes<BFloat16>(DataType::BFloat16);
}

TEST("a sum that is not a number is the same NaN on every machine, whatever was added") {
  const float infinity = fromBits<float>(0x7f800000), minus = fromBits<float>(0xff800000);
  const float nans[] = {fromBits<float>(0x7fc00001), fromBits<float>(0xffc00002), fromBits<float>(0x7f800003)};
  const float a[] = {infinity, minus, nans[0], nans[1], 1, nans[2], nans[2]};
  const float b[] = {minus, infinity, nans[1], nans[0], nans[2], 1, nans[0]};
  float sums[std::size(a)];
  reducePair(sums, a, b, std::size(a), DataType::Float32, ReduceOp::Sum);
  for (const float sum : sums) CHECK_EQ(show(sum), "7fc00000");
}

}  // namespace
}  // namespace espalier::test
