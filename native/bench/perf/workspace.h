#pragma once
#include <array>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "bench/perf/library.h"

namespace espalier::perf {

/// The buffers of one rank for one kind of memory, and what is in them.
class Workspace {
 public:
  /// Takes buffers for `cell`; those of an earlier cell are used again where they are large enough. Empty: success.
  std::string prepare(Library& library, const Cell& cell);
  /// Gives back what can be given back.
  void release();

  const void* in() const { return in_.data; }
  void* out() const { return out_.data; }

  /// Inputs of `rank` in every element, and a result that no correct call leaves behind.
  void fill(const Cell& cell, int rank);
  /// Compares every element of the result of one unit on `rank`. Empty: all are right.
  std::string verify(const Cell& cell, int rank) const;
  /// Writes each cache line of the input again, as whoever computes the next input does: the lines leave the caches
  /// of the other ranks, and a call is not timed on data that it moved before.
  void touch(const Cell& cell);
  /// In place, each sum is the next input: zeros, lest it overflows.
  void clear(const Cell& cell);

 private:
  struct Buffer {
    void* data = nullptr;
    size_t bytes = 0;
    bool isOurs = false;  ///< from the heap, not from the library
  };
  static std::string take(Library& library, Buffers kind, Role role, size_t bytes, Buffer& buffer);

  Buffer in_, out_;
};

}  // namespace espalier::perf
