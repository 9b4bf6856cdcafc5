#pragma once
#include <vector>

#include "test/transport/ranks.h"

/// How ranks are cabled.
namespace espalier::test {

enum class Shape { Full, Ring, Line, Star, Islands };
inline constexpr Shape kAllShapes[] = {Shape::Full, Shape::Ring, Shape::Line, Shape::Star, Shape::Islands};
inline const char* nameOf(Shape shape) {
  static constexpr const char* kNames[] = {"full", "ring", "line", "star", "islands"};
  return kNames[static_cast<int>(shape)];
}

/// The ranks that `rank` has a wire to. Islands: each half fully meshed, one cable between the last of the first and
/// the first of the second.
inline std::vector<int> wiresOf(Shape shape, int rank, int size) {
  std::vector<int> peers;
  for (int peer = 0; peer < size; ++peer) {
    if (peer == rank) continue;
    const int low = std::min(rank, peer), high = std::max(rank, peer), half = (size + 1) / 2;
    const bool neighbours = high - low == 1;
    bool wired = true;
    if (shape == Shape::Ring) wired = neighbours || (low == 0 && high == size - 1);
    if (shape == Shape::Line) wired = neighbours;
    if (shape == Shape::Star) wired = low == 0;
    if (shape == Shape::Islands) wired = (low < half) == (high < half) || (low == half - 1 && high == half);
    if (wired) peers.push_back(peer);
  }
  return peers;
}

inline GroupOptions shapedOptions(Shape shape, int rank, int size, LinkKind kind, Board* board) {
  GroupOptions options = optionsFor(rank, size, kind, board);
  if (shape != Shape::Full) options.directPeers = wiresOf(shape, rank, size);
  return options;
}

}  // namespace espalier::test
