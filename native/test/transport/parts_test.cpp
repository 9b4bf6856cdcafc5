#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "test/check.h"
#include "test/transport/reference.h"
#include "transport/auth/sha256.h"
#include "transport/collectives/blocks.h"
#include "transport/reduce/kernels.h"
#include "transport/reduce/scalar.h"
#include "transport/wire/payload_sum.h"

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
    const float expected = static_cast<float>(std::bit_cast<Fp16>(value.bits));
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
    CHECK_EQ(narrowToFloat16(value).bits, std::bit_cast<uint16_t>(static_cast<Fp16>(value)));
    CHECK_EQ(narrowToBFloat16(value).bits, toBf16(value).bits);
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

TEST("the two halves of a block are the block, whatever its length") {
  constexpr int kCount = 3;
  for (size_t bytes = 0; bytes < 200; ++bytes) {
    const auto blocks = Blocks::of(bytes, kCount, 64);
    for (int index = 0; index < kCount; ++index) {
      size_t next = blocks.block(index).offset;
      for (int half = 0; half < 2; ++half) {
        for (uint32_t piece = 0; piece < blocks.piecesOfHalf(); ++piece) {
          const auto range = blocks.pieceOfHalf(index, half, piece);
          CHECK(range.length == 0 || range.offset == next);
          next += range.length;
        }
      }
      CHECK_EQ(next, blocks.block(index).offset + bytes);
    }
  }
}

TEST("a payload's sum is the same on every machine, and another for every flipped bit and length") {
  std::vector<uint8_t> data(1'501);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<uint8_t>(i * 131 + i / 256);
  CHECK_EQ(payloadSum(data.data(), data.size()), uint64_t{0x0e6b7fb386b67212});
  CHECK_EQ(payloadSum(data.data(), 0), uint64_t{0});
  const uint64_t right = payloadSum(data.data(), data.size());
  for (size_t length = 0; length < data.size(); ++length) CHECK(payloadSum(data.data(), length) != right);
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
    CHECK(payloadSum(data.data(), data.size()) != right);
    data[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
  }
  std::swap_ranges(data.begin(), data.begin() + 512, data.begin() + 512);  // blocks that trade places
  CHECK(payloadSum(data.data(), data.size()) != right);
}

}  // namespace
}  // namespace espalier::test
