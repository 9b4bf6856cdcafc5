#pragma once
#include <vector>

#include "transport/collectives/mesh.h"

namespace espalier::transport {

/// The algorithms, in terms of Mesh::exchange alone. All arguments have been checked. Whatever the algorithm,
/// every reduction goes through reduceTree over the ranks in order, so all of them give the same bits.
class Collectives {
 public:
  explicit Collectives(Mesh& mesh);

  Status allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  Status reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  /// `operation` is AllGather, or Split when a split uses it.
  Status allGather(const void* in, void* out, size_t count, DataType type, Operation operation);
  Status broadcast(void* data, size_t count, DataType type, int root);
  Status send(const void* data, size_t count, DataType type, int peer);
  Status recv(void* data, size_t count, DataType type, int peer);
  Status barrier();

 private:
  Header open(Operation operation, size_t count, DataType type);
  Status reduceByExchange(Header header, const std::byte* in, std::byte* out, size_t bytes);
  Status reduceByBlocks(Header header, const std::byte* in, std::byte* out, size_t bytes);

  void clear();
  void sendTo(int peer, const Header& header, const void* payload);
  void receiveFrom(int peer, const Header& expected, std::byte* target = nullptr);
  void sendToAll(const Header& header, const void* payload);
  /// Sends the same to all others and expects the same kind from all.
  void swapWithAll(const Header& header, const void* payload);
  Status run() { return mesh_.exchange(outgoing_, incoming_); }
  /// Reduces what the last run() received, with `own` in this rank's place, and releases it.
  void reduceReceived(const void* own, void* out, const Header& header);

  Mesh& mesh_;
  uint32_t sequence_ = 0;
  std::vector<uint32_t> sendSequence_, receiveSequence_;  ///< by peer: pairs talk without the others
  std::vector<Outgoing> outgoing_;
  std::vector<Incoming> incoming_;
  std::vector<const void*> inputs_;
};

}  // namespace espalier::transport
