#pragma once
#include <sys/uio.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "transport/wire/bytes.h"
#include "transport/wire/socket.h"

namespace espalier::transport {

/// Up to three pieces of memory that follow each other on a stream, and how much of them has passed.
class Segments {
 public:
  Segments() = default;
  Segments(std::initializer_list<iovec> parts);
  bool complete() const { return done_ == total_; }
  size_t done() const { return done_; }
  size_t left() const { return total_ - done_; }
  void advance(size_t bytes) { done_ += bytes; }
  /// The memory still to pass; returns how many entries.
  int rest(iovec* into) const;
  /// Copies the next `bytes` from `from`.
  void absorb(const std::byte* from, size_t bytes);
  /// Copies all that has passed to `into`.
  void replay(std::byte* into) const;

 private:
  static constexpr int kMost = 3;
  iovec parts_[kMost] = {};
  int count_ = 0;
  size_t done_ = 0, total_ = 0;
};

enum class StreamResult : uint8_t { Done, NotYet, Broken };

/// One socket of a link: a stream with room to read ahead.
class TcpStream {
 public:
  /// `capacity`: how far it may read ahead, in bytes. `early` are bytes that were read from the socket already.
  TcpStream(Socket socket, const Bytes& early, size_t capacity);

  int fd() const { return socket_.fd(); }
  /// 0, or the errno that broke a direction; kClosed when the peer ended the stream.
  static constexpr int kClosed = -1;
  int sendError() const { return sendError_; }
  int receiveError() const { return receiveError_; }

  StreamResult push(Segments& out);
  /// Fills `in` from what was read ahead, then by one read straight to its place.
  StreamResult pull(Segments& in);

  /// One read of at most `bytes`, or less if there is no room.
  void readAhead(size_t bytes);
  /// Moves what was read ahead to the front, so that there is room behind it again.
  void compact();
  /// The same where no room is left.
  void makeRoom() {
    if (end_ == capacity_) compact();
  }
  size_t consumed() const { return begin_; }
  const std::byte* ahead() const { return stage() + begin_; }
  size_t aheadBytes() const { return end_ - begin_; }
  void skip(size_t bytes);
  /// Puts back what was pulled into `in`; only when nothing is ahead.
  void putBack(const Segments& in);

  /// How many bytes came so far.
  uint64_t heard() const { return heard_; }
  /// Whether the system has sent something again and heard nothing of the peer's for `patience`.
  bool isUnanswered(std::chrono::milliseconds patience);

  /// Ends the outgoing stream, and drops what came in: closing over unread bytes would reset the connection, and
  /// some systems then drop what the peer has not read yet.
  void finish();

 private:
  std::byte* stage() const { return reinterpret_cast<std::byte*>(stage_.get()); }
  void receiveFailed(int64_t got);

  Socket socket_;
  size_t capacity_;
  std::unique_ptr<uint64_t[]> stage_;  ///< 64-bit words, for the alignment; touched only where used
  size_t begin_ = 0, end_ = 0;
  int sendError_ = 0, receiveError_ = 0;
  uint64_t heard_ = 0;
  Deadline answeredAt_{};                  ///< when the peer's system last acknowledged anything
  [[maybe_unused]] uint32_t retriesAtAnswer_ = 0;  ///< retransmissions by then, where the system tells
  Deadline silentSince_ = Deadline::max();  ///< the first look that found one more
};

}  // namespace espalier::transport
