#include <cmath>
#include <cstring>
#include <string>

#include "test/check.h"
#include "test/transport/reference.h"
#include "transport/auth/sha256.h"
#include "transport/reduce/half.h"
#include "transport/reduce/half_tail.h"
#include "transport/reduce/kernels.h"
#include "transport/reduce/scalar.h"

namespace espalier::test {
namespace {

using namespace espalier::transport;

std::string hex(const Digest& digest) {
  std::string text;
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

Bytes bytesOf(const std::string& text) { return {text.begin(), text.end()}; }

TEST("SHA-256 gives the published digests (FIPS 180-4, NIST examples)") {
  const struct {
    std::string message, digest;
  } rows[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1'000'000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& row : rows) CHECK_EQ(hex(sha256(bytesOf(row.message))), row.digest);
}

TEST("HMAC-SHA256 gives the published codes (RFC 4231)") {
  const struct {
    std::string key, message, code;
  } rows[] = {
      {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
      {std::string(20, '\xaa'), std::string(50, '\xdd'),
       "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
      {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
  };
  for (const auto& row : rows) CHECK_EQ(hex(hmacSha256(bytesOf(row.key), bytesOf(row.message))), row.code);
}

TEST("every fp16 value widens as the compiler widens it, and comes back") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const Float16 value{static_cast<uint16_t>(bits)};
    const float expected = static_cast<float>(std::bit_cast<_Float16>(value.bits));
    const float got = widen(value);
    if (std::isnan(expected)) {
      CHECK(std::isnan(got));
      CHECK(std::isnan(widen(narrowToFloat16(got))));
      continue;
    }
    CHECK_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(expected));
    CHECK_EQ(narrowToFloat16(got).bits, value.bits);
  }
}

TEST("floats narrow to fp16 and bf16 as the compiler and the definition do") {
  for (uint64_t step = 0; step < (uint64_t{1} << 32); step += 4'099) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(step));
    if (std::isnan(value)) {
      CHECK(std::isnan(widen(narrowToBFloat16(value))));
      continue;
    }
    CHECK_EQ(narrowToFloat16(value).bits, std::bit_cast<uint16_t>(static_cast<_Float16>(value)));
    CHECK_EQ(narrowToBFloat16(value).bits, toBf16(value).bits);
  }
}

template <class Half>
void checkHalfKernel(HalfKernel kernel, ReduceOp op, const std::string& what) {
  // Every value with each of these: zeros, subnormals, ties, the largest, infinities, NaNs quiet and signalling.
  const uint16_t others[] = {0,      0x8000, 1,      0x8001, 0x3ff,  0x400,  0x3c00, 0xbc00, 0x3c01, 0x7bff, 0xfbff,
                             0x7c00, 0xfc00, 0x7c01, 0x7e00, 0xfe03, 0x7f7f, 0xff7f, 0x7f80, 0xff80, 0x7f81, 0x7fc0,
                             0xffc1, 0x0080, 0x007f, 0x3f80, 0x3f81, 0x1000, 0x1001, 0x6400, 0x6401};
  constexpr size_t kCount = 0x10000 + 7;  // and a tail
  std::vector<Half> all(kCount), other(kCount), got(kCount);
  for (size_t i = 0; i < kCount; ++i) all[i].bits = static_cast<uint16_t>(i * 40'503);
  for (const uint16_t bits : others) {
    std::fill(other.begin(), other.end(), Half{bits});
    for (const bool swapped : {false, true}) {
      const auto &a = swapped ? other : all, &b = swapped ? all : other;
      kernel(got.data(), a.data(), b.data(), kCount);
      for (size_t i = 0; i < kCount; ++i) {
        // Whose payload survives when two NaNs are added is the compiler's choice of operands, in plain code too.
        const float x = widen(a[i]), y = widen(b[i]);
        if (op == ReduceOp::Sum && std::isnan(x) && std::isnan(y)) {
          CHECK(std::isnan(widen(got[i])));
        } else if (got[i].bits != combineHalf(a[i], b[i], op).bits) {
          throw CheckFailure(what + ": " + std::to_string(a[i].bits) + " and " + std::to_string(b[i].bits));
        }
      }
    }
  }
}

TEST("kernels for 16-bit floats give the bits of the plain code on every value") {
  for (const ReduceOp op : {ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min}) {
    const std::string what = "reduction " + std::to_string(static_cast<int>(op));
    if (const HalfKernel fp16 = halfKernel(DataType::Float16, op)) checkHalfKernel<Float16>(fp16, op, "fp16 " + what);
    if (const HalfKernel bf16 = halfKernel(DataType::BFloat16, op)) checkHalfKernel<BFloat16>(bf16, op, "bf16 " + what);
  }
}

TEST("a tree of any width has the same order for every length and place") {
  for (int inputs = 1; inputs <= 16; ++inputs) {
    std::vector<std::vector<float>> data(inputs, std::vector<float>(3'001));
    std::vector<const void*> pointers;
    for (int rank = 0; rank < inputs; ++rank) {
      for (size_t i = 0; i < 3'001; ++i) data[rank][i] = element<float>(rank, i);
      pointers.push_back(data[rank].data());
    }
    std::vector<float> expected(3'001);
    for (size_t i = 0; i < 3'001; ++i) expected[i] = reduced<float>(0, inputs, i, ReduceOp::Sum);
    // In place of the last input, which an eager implementation would overwrite too early.
    reduceTree(data[inputs - 1].data(), pointers.data(), inputs, 3'001, DataType::Float32, ReduceOp::Sum);
    CHECK(std::memcmp(data[inputs - 1].data(), expected.data(), 3'001 * sizeof(float)) == 0);
  }
}

}  // namespace
}  // namespace espalier::test
