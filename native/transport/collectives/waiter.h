#pragma once
#include "transport/collectives/mesh.h"

namespace espalier::transport {

/// One wait of a mesh, entered when the first look found something missing. Spins briefly, gives way, then sleeps:
/// a peer in the midst of the same computation is met without a system call, one that is idle costs nothing.
class Mesh::Waiter {
 public:
  explicit Waiter(Mesh& mesh) : mesh_(mesh) {}
  /// After a look in vain. Fails the group when the wait has lasted too long.
  void pause(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming);
  /// `peer`'s link broke without a goodbye: why will be known shortly.
  void suspect(int peer);
  /// Charges the time since the first pause to the peer that came last, and learns from it how soon to sleep.
  void finish(int lastPeer);

 private:
  void begin();
  /// Lets the others know, once per wait, in which collective this rank waits, or for whose send.
  void tellCall(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming);
  bool contradicts(int peer, const Header& own, bool receives) const;
  void separate(std::span<const Incoming> incoming, Deadline now);
  void park(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, Deadline now);
  bool findLoss(std::span<const Incoming> incoming, Deadline now);
  bool findSilence(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming);
  bool findOtherCall(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming);
  /// While this rank can do nothing but send, its peer may be waiting for room to send to it, or for one that does.
  bool makeRoom(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, Deadline now);
  void giveUpIfLate(std::span<const Outgoing> outgoing, std::span<const Incoming> incoming, Deadline now);

  Mesh& mesh_;
  int rounds_ = 0;
  bool told_ = false;
  bool slept_ = false;
  bool makesRoom_ = false;  ///< this rank waits in a send and takes in what others send
  Deadline madeRoomAt_{};
  Deadline began_{};
  int elsewhere_ = -1;  ///< peer that was seen in a call of another kind
  int suspect_ = -1;
  Deadline suspectedAt_{};
};

}  // namespace espalier::transport
