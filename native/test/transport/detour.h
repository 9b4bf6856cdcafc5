#pragma once
#include <atomic>
#include <list>
#include <thread>

#include "transport/wire/frame.h"

namespace espalier::test {

/// What becomes of one frame on its way, and which: counted from 0 among all that go that way, on all connections.
/// Silence swallows it and all that would follow, a connection's end, too.
struct Harm {
  enum class Kind { None, Garbage, Cut, Silence };
  Kind kind = Kind::None;
  bool toDialer = false;
  int frame = 0;
};

/// Stands between a rank that dials and the port that it dials: passes on what the two say to each other, frame by frame,
/// but for the one that comes to harm. Where the dialled end names a port for more sockets, they lead through here, too.
class Detour {
 public:
  Detour(uint16_t onward, Harm harm);
  ~Detour();  ///< passes on what is still under way: what led through here must have been closed at one end
  Detour(const Detour&) = delete;
  Detour& operator=(const Detour&) = delete;
  uint16_t port() const { return doors_.front().port; }
  /// How many frames came for that side. Of use once both are through.
  int count(bool toDialer) const { return counts_[toDialer]; }

 private:
  struct Door {
    transport::Socket listener;
    uint16_t port = 0, onward = 0;
  };
  /// Of both arrays, [1] is the dialer's end.
  struct Pair {
    transport::Socket ends[2];
    transport::FrameReader readers[2];
    bool framed[2] = {true, true};
    bool open = true;
  };
  uint16_t openDoor(uint16_t onward);
  void run();
  void serve();
  bool isAnyOpen() const;
  /// False when nothing has come.
  bool pass(Pair& pair, bool toDialer);
  static void cut(Pair& pair);
  void forward(Pair& pair, bool toDialer, transport::Frame frame);

  const Harm harm_;
  std::list<Door> doors_;
  std::list<Pair> pairs_;
  std::atomic<int> counts_[2] = {0, 0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace espalier::test
