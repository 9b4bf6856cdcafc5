#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "transport/link.h"

namespace espalier::transport {

/// A buffer cut into equal blocks, one per member of a team (the last ones may be shorter, or empty), and each block
/// into pieces that a message can carry.
class Blocks {
 public:
  struct Range {
    size_t offset = 0, length = 0;
  };

  /// Blocks that start on cache lines, whatever the element.
  static Blocks cut(size_t bytes, int count, size_t pieceBytes) {
    constexpr size_t kAlignBytes = 64;
    const auto parts = static_cast<size_t>(count);
    const size_t each = (bytes + parts - 1) / parts;
    return {bytes, (each + kAlignBytes - 1) / kAlignBytes * kAlignBytes, pieceBytes};
  }
  /// `count` blocks of exactly `blockBytes`.
  static Blocks of(size_t blockBytes, int count, size_t pieceBytes) {
    return {blockBytes * static_cast<size_t>(count), blockBytes, pieceBytes};
  }

  /// At least 1: ranks that disagree on an empty call find out as well.
  uint32_t pieces() const { return piecesOf(blockBytes_); }
  Range block(int index) const { return within(index, 0, blockBytes_); }
  Range piece(int index, uint32_t piece) const { return within(index, piece * pieceBytes_, pieceBytes_); }

  /// Each block in two halves, 0 and 1.
  uint32_t piecesOfHalf() const { return piecesOf(halfBytes()); }
  Range pieceOfHalf(int index, int half, uint32_t piece) const {
    const size_t skip = std::min(piece * pieceBytes_, halfBytes());
    return within(index, static_cast<size_t>(half) * halfBytes() + skip, std::min(pieceBytes_, halfBytes() - skip));
  }

 private:
  Blocks(size_t bytes, size_t blockBytes, size_t pieceBytes)
      : bytes_(bytes), blockBytes_(blockBytes), pieceBytes_(pieceBytes) {}
  uint32_t piecesOf(size_t length) const {
    return static_cast<uint32_t>(std::max<size_t>((length + pieceBytes_ - 1) / pieceBytes_, 1));
  }
  size_t halfBytes() const { return ((blockBytes_ + 1) / 2 + kElementBytes - 1) / kElementBytes * kElementBytes; }
  Range within(int index, size_t skip, size_t length) const {
    const size_t start = std::min(static_cast<size_t>(index) * blockBytes_, bytes_);
    const size_t stop = std::min(start + blockBytes_, bytes_);
    const size_t begin = std::min(start + skip, stop);
    return {begin, std::min(length, stop - begin)};
  }

  /// No half may begin within an element: as long as the longest.
  static constexpr size_t kElementBytes = 8;
  size_t bytes_, blockBytes_, pieceBytes_;
};

inline Header pieceOf(Header header, uint32_t number, size_t length) {
  header.piece = number;
  header.pieceBytes = static_cast<uint32_t>(length);
  return header;
}

}  // namespace espalier::transport
