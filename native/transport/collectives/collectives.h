#pragma once
#include <functional>
#include <vector>

#include "transport/collectives/blocks.h"
#include "transport/collectives/mesh.h"
#include "transport/collectives/plan.h"
#include "transport/shm/host_team.h"

namespace espalier::transport {

/// The wires of a group, as the algorithms need them; counts in the group's own ranks.
struct Cabling {
  GroupShape shape;
  /// All ranks in the order of a ring of wires; empty if there is none.
  std::vector<int> ring;
  /// towards[r][x]: the neighbour through which rank x hears of rank r, in a tree of shortest ways over the wires
  /// from r; empty where the wires alone do not join the group.
  std::vector<std::vector<int>> towards;
};

/// The algorithms, in terms of Mesh::exchange alone. All arguments have been checked. Every rank has the same plan,
/// and so takes the same algorithm for the same call.
class Collectives {
 public:
  Collectives(Mesh& mesh, Cabling cabling);

  /// Meets all members and agrees on the size of pieces. Before any other call.
  Status agreeOnPieces();
  /// Agrees on a plan: by what steps over the links take, or by what they are known to where ranks share cores.
  /// `team` is that of this rank's host, or null; it must outlive this.
  Status settle(HostTeam* team);
  /// Takes another plan. Every rank must, between the same two calls.
  void follow(const Plan& plan) { plan_ = plan; }
  /// What was measured and chosen.
  void report(GroupStats& stats) const;

  Status allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  Status reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  /// `operation` is AllGather, or Split when a split uses it.
  Status allGather(const void* in, void* out, size_t count, DataType type, Operation operation);
  Status broadcast(void* data, size_t count, DataType type, int root);
  Status send(const void* data, size_t count, DataType type, int peer);
  Status recv(void* data, size_t count, DataType type, int peer);
  Status barrier();

 private:
  class Measurement;
  /// Whether all ranks, as far as this one can tell, are on a host with fewer cores and joined by TCP.
  bool sharesCores() const;

  Header open(Operation operation, size_t count, DataType type);
  Status reduceBy(const Choice& choice, const Header& header, const std::byte* in, std::byte* out);
  Status exchangeLevels(const Levels& levels, const Header& header, const std::byte* in, std::byte* out);
  /// Of two ranks, in one message each way.
  Status exchangeOnce(const Header& header, const std::byte* in, std::byte* out, size_t count);
  /// Each member of the team reduces all of the members' `bytes`.
  Status exchangeIn(const Team& team, const Header& header, const std::byte* in, std::byte* out, size_t bytes);
  Status reduceByBlocks(const Team& team, const Header& header, const std::byte* in, std::byte* out, size_t bytes);
  /// Between the hosts, for this rank's share of what its host has reduced.
  Status reduceAcross(const Team& cross, const Header& header, std::byte* share, size_t bytes);
  Status reduceByHierarchy(const Levels& levels, const Header& header, const std::byte* in, std::byte* out);
  /// The member at place i of the team gets block i of the reduction, at `share`.
  Status scatterIn(const Team& team, const Header& header, const std::byte* in, std::byte* share, const Blocks& blocks);
  /// Every member has its block in `out` and gets those of the others.
  Status gatherIn(const Team& team, const Header& header, std::byte* out, const Blocks& blocks);
  Status broadcastOverWires(const Header& header, std::byte* data, int root);

  // Around the ring; `place` counts in it, `Blocks` go by rank.
  int atPlace(int place) const;
  bool usesRing() const { return !cabling_.shape.everyPairWired && !cabling_.ring.empty() && mesh_.size() > 2; }
  using BlockAddress = std::function<std::byte*(int rank)>;
  template <class Send, class Receive, class Take>
  Status aroundRing(uint32_t steps, uint32_t pieces, Send send, Receive receive, Take take);
  /// Every rank has its own block and gets those of the others.
  Status passAround(const Header& header, const BlockAddress& blockOf, const Blocks& blocks);
  /// Every rank gets its block of the reduction, at blockOf(rank); the others' blocks there are for partial results.
  Status reduceAround(const Header& header, const std::byte* in, const BlockAddress& blockOf, const Blocks& blocks);
  Status reduceByPassing(const Header& header, const std::byte* in, std::byte* out);
  Status reduceByRing(const Header& header, const std::byte* in, std::byte* out);

  void clear();
  void sendTo(int peer, const Header& header, const void* payload);
  void receiveFrom(int peer, const Header& expected, std::byte* target = nullptr);
  Status fromTeam(bool done) const { return done ? Status::success() : mesh_.cause(); }
  Status run() { return mesh_.exchange(outgoing_, incoming_); }
  /// Has what was received at its target, and gives the messages back.
  void takeReceived();
  /// Reduces what the last run() received from the team, with `own` in this rank's place, and releases it.
  void reduceReceived(const Team& team, const void* own, void* out, const Header& header);

  Mesh& mesh_;
  Cabling cabling_;
  std::vector<int> places_;  ///< on the ring, by rank
  Team everybody_;
  HostTeam* team_ = nullptr;  ///< set if the ranks of every host have one
  Plan plan_;
  CostFigures figures_;
  uint32_t sequence_ = 0;
  std::vector<uint32_t> sendSequence_, receiveSequence_;  ///< by peer: pairs talk without the others
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
  std::vector<const void*> inputs_;
  std::vector<std::byte> scratch_;  ///< contributions of others, while they are passed around
};

}  // namespace espalier::transport
