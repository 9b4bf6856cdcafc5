#pragma once
#include <poll.h>

#include <functional>
#include <list>
#include <string>
#include <vector>

#include "transport/notices.h"
#include "transport/rendezvous/handshake.h"

namespace espalier::transport {

/// A connection that has been admitted. The reader may hold bytes that came early.
struct Arrival {
  Socket socket;
  FrameReader reader;
  Hello hello;
};

/// Listens and examines any number of connections at once. Scanners, garbage and silent connections are dropped
/// at their own deadline, delay nobody, and are reported once per cause and address.
class Acceptor {
 public:
  /// `admit` judges a dialer that has proved the secret; on success `welcome` gets the connection. `place` names
  /// this port in notices.
  Acceptor(Socket listener, std::string secret, const char* place, Notices& notices, std::function<Status(const Hello&)> admit,
           std::function<void(Arrival)> welcome);
  ~Acceptor();
  /// Handles what happens within `timeoutMs`, or less. Returns early when `wakeFd` (unless -1) is readable.
  void step(int timeoutMs, int wakeFd);
  /// Appends what step() waits for, for a caller that waits for other things as well and then calls step(0, -1).
  void watch(std::vector<pollfd>& fds) const;
  /// It cannot take connections for the moment, so call step() again within a tenth of a second.
  bool isPaused() const { return pausedUntil_ > Clock::now(); }
  /// Fails with OutOfDescriptors once this process has been unable to take a connection for a second.
  const Status& shortage() const { return shortage_; }

 private:
  struct Pending {
    Socket socket;
    FrameReader reader;
    Examination examination;
    Deadline deadline;
    PeerAddress from;
  };
  enum class Refusal : uint8_t { Closed, Garbage, Silent, Crowded };
  void report(const Pending& pending, Refusal refusal);
  void report(const Pending& pending, const std::string& cause, const std::string& text);
  void acceptAll();
  void noteShortage(int error);
  /// False when the connection is settled, one way or the other.
  bool advance(Pending& pending);

  Socket listener_;
  std::string secret_;
  const char* place_;
  Notices& notices_;
  std::function<Status(const Hello&)> admit_;
  std::function<void(Arrival)> welcome_;
  std::list<Pending> pending_;
  Deadline pausedUntil_{}, shortSince_{};
  Status shortage_;
};

}  // namespace espalier::transport
