#pragma once
#include <cstddef>
#include <deque>
#include <vector>

#include "transport/link.h"

namespace espalier::transport {

/// Copies of messages that came while this rank was waiting to send, taken off their links so that ranks that send to each
/// other before either receives do not wait for ever. By peer, oldest first; each comes before any that is on the link.
class Stash {
 public:
  explicit Stash(int ranks) : peers_(static_cast<size_t>(ranks)) {}

  bool empty() const { return count_ == 0; }
  bool holds(int peer) const { return count_ != 0 && !peers_[static_cast<size_t>(peer)].empty(); }
  bool hasRoom() const { return bytes_ < kMostBytes; }

  void keep(int peer, const Message& message) {
    const std::byte* const end = message.payload + message.header.pieceBytes;
    peers_[static_cast<size_t>(peer)].push_back({message.header, {message.payload, end}});
    bytes_ += message.header.pieceBytes;
    ++count_;
  }
  /// Valid until drop().
  Message oldest(int peer) const {
    const Kept& kept = peers_[static_cast<size_t>(peer)].front();
    return {kept.header, kept.payload.data()};
  }
  void drop(int peer) {
    bytes_ -= peers_[static_cast<size_t>(peer)].front().payload.size();
    --count_;
    peers_[static_cast<size_t>(peer)].pop_front();
  }

 private:
  /// A program that sends more than this to a rank that sends itself has to receive in between.
  static constexpr size_t kMostBytes = 256 << 20;
  struct Kept {
    Header header;
    std::vector<std::byte> payload;
  };
  std::vector<std::deque<Kept>> peers_;
  size_t bytes_ = 0, count_ = 0;
};

}  // namespace espalier::transport
