#include <cstring>
#include <deque>
#include <random>

#include "test/transport/ranks.h"
#include "transport/shm/shm_link.h"
#include "transport/shm/staging_copy.h"

namespace espalier::test {
namespace {

using namespace espalier::transport;

struct ShmEnds {
  std::unique_ptr<Link> left, right;

  ShmEnds() {
    Segment created, opened;
    CHECK_OK(Segment::create(shmSegmentBytes(), created));
    CHECK_OK(Segment::open(created.name(), shmSegmentBytes(), opened));
    left = makeShmLink(std::move(created), 0);
    right = makeShmLink(std::move(opened), 1);
  }
};

struct Sample {
  Header header;
  std::vector<std::byte> data;
};

Sample sampleOf(size_t bytes, uint32_t sequence) {
  Sample sample{{}, std::vector<std::byte>(bytes)};
  sample.header.sequence = sequence;
  sample.header.callBytes = bytes;
  sample.header.pieceBytes = static_cast<uint32_t>(bytes);
  for (size_t i = 0; i < bytes; ++i) sample.data[i] = static_cast<std::byte>((i * 7 + sequence * 131) >> (i % 3));
  return sample;
}

}  // namespace

TEST("a shared-memory link keeps every message whole, round its ring and however far its sender is ahead") {
  ShmEnds ends;
  std::mt19937 random(7);
  std::deque<Sample> underway;
  const size_t sizes[] = {0, 1, 127, 128, 4'096, 16'384, 40'000, ends.left->maxPayloadBytes()};
  uint32_t sent = 0, taken = 0;
  while (taken < 3'000) {
    if (sent < 3'000 && random() % 3 != 0) {
      Sample sample = sampleOf(sizes[random() % std::size(sizes)], sent);
      if (ends.left->trySend(sample.header, sample.data.data()) == LinkResult::Done) {
        ++sent;
        // The link may not look at it again.
        underway.push_back(sample);
        std::fill(sample.data.begin(), sample.data.end(), std::byte{0xee});
      }
    }
    if (sent < 3'000 && random() % 4 != 0) continue;
    Message message;
    if (ends.right->tryReceive(message) != LinkResult::Done) {
      CHECK(underway.empty());
      continue;
    }
    const Sample& expected = underway.front();
    CHECK(message.header == expected.header);
    CHECK(expected.data.empty() || std::memcmp(message.payload, expected.data.data(), expected.data.size()) == 0);
    ends.right->release();
    underway.pop_front();
    ++taken;
  }
}

TEST("a shared-memory link takes three of the longest messages before its peer looks, and tells when it is full") {
  ShmEnds ends;
  const Sample sample = sampleOf(ends.left->maxPayloadBytes(), 1);
  int sent = 0;
  while (ends.left->trySend(sample.header, sample.data.data()) == LinkResult::Done) CHECK(++sent < 1'000);
  CHECK(sent >= 3);
  Message message;
  CHECK(ends.right->tryReceive(message) == LinkResult::Done);
  ends.right->release();
  CHECK(ends.left->trySend(sample.header, sample.data.data()) == LinkResult::Done);
}

TEST("a staging copy is a copy, whichever way it goes and at every alignment") {
  StagingCopy staging;
  std::vector<std::byte> from(20'000), to(20'100);
  for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 31 >> 3);
  for (int i = 0; i < 600; ++i) {
    const size_t bytes = i % 5 == 0 ? static_cast<size_t>(i) : 4'096 + static_cast<size_t>(i) * 26;
    const size_t at = static_cast<size_t>(i) % 67;
    std::fill(to.begin(), to.end(), std::byte{0xee});
    staging.copy(to.data() + at, from.data() + i % 9, bytes);
    CHECK(std::memcmp(to.data() + at, from.data() + i % 9, bytes) == 0);
    CHECK(to[at + bytes] == std::byte{0xee});
    CHECK(at == 0 || to[at - 1] == std::byte{0xee});
  }
}

}  // namespace espalier::test
