#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "status.h"

namespace espalier::transport {

enum class DataType : uint8_t {
  Float32, Float16, BFloat16,
  Int8, Int16, Int32, Int64, Uint8, Uint16, Uint32, Uint64,
  Complex64,
};
enum class ReduceOp : uint8_t { Sum, Max, Min };
enum class LinkKind : uint8_t { Tcp, SharedMemory, Verbs };
/// "tcp", "shm" or "verbs".
const char* linkName(LinkKind kind);

/// The RDMA device of this rank that a cable joins to `peer`: on a Mac rdma_en2 and the like.
struct VerbsCable {
  int peer = -1;
  std::string device;
};

/// What a rank needs to join a group. Ranks may start in any order, minutes apart, within `rendezvousTimeoutMs`.
struct GroupOptions {
  int rank = 0;
  int size = 1;
  /// Rank 0 listens here (port 0: any free port, see onListening); all others dial it.
  std::string rendezvousHost = "127.0.0.1";
  uint16_t rendezvousPort = 0;
  /// Address that this rank's TCP data sockets bind to and advertise.
  std::string dataHost = "127.0.0.1";
  /// Per-group secret, proved both ways by challenge and response, never sent.
  std::string secret;
  /// Incarnation of the group: a rank with another epoch is refused.
  uint64_t epoch = 0;
  /// Names the host: ranks with equal hostId may share memory.
  std::string hostId;
  /// Links this rank may use; each pair takes the best that both allow: shared memory, then verbs, then TCP.
  std::vector<LinkKind> links = {LinkKind::SharedMemory, LinkKind::Tcp};
  /// RDMA cables of this rank, at most one per peer. A peer that is not named here takes the only active device,
  /// if there is just one.
  std::vector<VerbsCable> verbsCables;
  /// Ranks that this rank has a wire to; empty: all. A pair has a direct link only if both ends name each other;
  /// any other pair is joined through ranks between them. The group must be connected.
  std::vector<int> directPeers;
  int rendezvousTimeoutMs = 60'000;
  /// Rank 0 only: a rank of this secret that was started for another size, or with another epoch and none of this one
  /// comes in its place within a second, ends the rendezvous, on all. For ranks that nobody starts again: otherwise it is
  /// refused, and the group waits for a better one.
  bool disagreementEnds = false;
  /// A peer that is silent for this long on the side channel is dead. At most 2000 by contract. The shortest that any rank
  /// asks for is the group's.
  int livenessTimeoutMs = 1'500;
  /// Longest a single collective may wait for a live but busy peer. 0: no limit, liveness alone ends the wait
  /// (for ranks that idle in a broadcast or recv until the next request).
  int operationTimeoutMs = 60'000;
  /// Rank 0 only: called once with the bound port, before waiting for the others. What it throws ends the rendezvous.
  void (*onListening)(uint16_t port, void* context) = nullptr;
  void* onListeningContext = nullptr;
  /// Others only: asked before rank 0 is dialled again. False ends the rendezvous: it will not listen there any more.
  bool (*mayDialAgain)(void* context) = nullptr;
  void* mayDialAgainContext = nullptr;
  /// Called with one line of text for what an operator should know though the group goes on: a stranger was refused, a
  /// better link was not to be had, and why. Once per cause; never with a secret. Any thread.
  void (*onNotice)(const char* text, void* context) = nullptr;
  void* onNoticeContext = nullptr;
};

struct CollectiveStats {
  std::string name;
  uint64_t count = 0;
  uint64_t bytes = 0;
  double totalUs = 0;
  double maxUs = 0;
  /// Calls by duration: bucket i counts those of [2^i, 2^(i+1)) × 0.25 µs, the first and the last are open.
  std::array<uint64_t, 32> histogram{};
};
struct PeerStats {
  int rank = -1;
  LinkKind link = LinkKind::Tcp;
  uint64_t bytesSent = 0;
  uint64_t bytesReceived = 0;
  double stallUs = 0;
  /// First rank on the way, where there is no wire to that peer; -2 if that rank is not in this split; else -1.
  int via = -1;
};
/// A step that algorithms are made of, as it was measured when the group was formed.
struct StepStats {
  std::string step;     ///< "all", "pair", "host", "cross" or "ring": who exchanges with whom
  double startUs = 0;   ///< of a step that carries next to nothing
  double usPerMib = 0;  ///< more, by the size of the message to one peer
};
struct AlgorithmStats {
  std::string algorithm;   ///< of all-reduces of `fromBytes` and more, up to the next entry of the same kind
  uint64_t fromBytes = 0;
  bool anyOrder = false;   ///< of integers, whose sum has the same bits in any order
};
struct GroupStats {
  std::vector<CollectiveStats> collectives;
  std::vector<PeerStats> peers;
  std::vector<StepStats> steps;
  std::vector<AlgorithmStats> algorithms;
};

/// A fixed set of ranks that exchange data. A forked child has no part in it and must not touch it: it ends by exec or
/// _exit. Every rank must call the same collectives in the same order
/// with the same counts; one thread at a time per group (split groups count as groups of their own).
///
/// Contract of failure: when a peer dies, stops, or breaks the protocol, every call on every survivor
/// returns within `livenessTimeoutMs` (default 1.5 s, never over 2 s) a Status that names rank, link and
/// cause; the group is then dead, uses no CPU, and each later call returns the same Status at once.
///
/// Contract of bits: all ranks get identical bits in every algorithm and on every run. For floating-point
/// sums over a power-of-two number of ranks the order is the balanced binary tree over ranks,
/// ((r0+r1)+(r2+r3))+((r4+r5)+(r6+r7)), whatever the algorithm: the built-in engine relies on it to
/// give the same tokens for every tensor-parallel size. One exception: where the wires form a ring but not a full
/// mesh, sums of floats whose input has 256 KiB or more are added in the order of the ring.
class Group {
 public:
  /// Forms the group: blocks until all ranks have joined and all links are up, or fails.
  /// size 1 needs no rendezvous and no sockets. Returns null and sets `status` on failure.
  static std::unique_ptr<Group> create(const GroupOptions& options, Status& status);
  virtual ~Group() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// `in` may equal `out` (in place), here and below; otherwise the buffers do not overlap, but that a rank's input to an
  /// all-gather and its output of a reduce-scatter may lie at its own place in the other buffer.
  virtual Status allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) = 0;
  /// out has size() × count elements, in rank order.
  virtual Status allGather(const void* in, void* out, size_t count, DataType type) = 0;
  /// in has size() × count elements; rank r gets the reduced r-th block.
  virtual Status reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) = 0;
  virtual Status broadcast(void* data, size_t count, DataType type, int root) = 0;
  virtual Status send(const void* data, size_t count, DataType type, int peer) = 0;
  virtual Status recv(void* data, size_t count, DataType type, int peer) = 0;
  virtual Status barrier() = 0;
  /// Ranks with equal color form a new group, ordered by (key, rank). Collective over this group.
  /// The child has links of its own, and shares the liveness of its parent, which must outlive it.
  virtual std::unique_ptr<Group> split(int color, int key, Status& status) = 0;
  /// Ends the group on all ranks: every pending and later call, here and on peers, returns GroupAborted with `reason`.
  /// Safe from any thread.
  virtual void abort(const std::string& reason) = 0;
  virtual GroupStats stats() const = 0;
  /// Transport-owned memory of at least `bytes`, 64-byte aligned, freed with the group: collectives whose
  /// buffers lie here avoid a copy where the link allows it.
  virtual void* allocate(size_t bytes) = 0;
};

}  // namespace espalier::transport
