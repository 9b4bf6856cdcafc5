#pragma once
#include <mutex>
#include <vector>

#include "transport/collectives/collectives.h"
#include "transport/connect.h"
#include "transport/form_team.h"
#include "transport/relay/relay_service.h"
#include "transport/stats.h"
#include "transport/stopwatch.h"

namespace espalier::transport {

/// The Group over a Mesh: checks arguments, counts calls, splits.
class MeshGroup final : public Group {
 public:
  /// What a split needs again.
  struct Identity {
    std::shared_ptr<const Family> family;
    std::shared_ptr<RelayService> relay;  ///< null unless this rank joins others
  };
  MeshGroup(Mesh::Place place, std::vector<std::unique_ptr<Link>> links, std::shared_ptr<Liveness> liveness,
            Identity identity, Cabling cabling);
  ~MeshGroup() override;

  /// The algorithms. Tests give all ranks a plan that was not measured.
  Collectives& collectives() { return collectives_; }
  /// Meets all members and agrees with them on what depends on everybody's links. Before any other call.
  Status settle();

  int rank() const override { return mesh_.rank(); }
  int size() const override { return mesh_.size(); }
  Status allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op) override;
  Status allGather(const void* in, void* out, size_t count, DataType type) override;
  Status reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op) override;
  Status broadcast(void* data, size_t count, DataType type, int root) override;
  Status send(const void* data, size_t count, DataType type, int peer) override;
  Status recv(void* data, size_t count, DataType type, int peer) override;
  Status barrier() override;
  std::unique_ptr<Group> split(int color, int key, Status& status) override;
  void abort(const std::string& reason) override;
  GroupStats stats() const override;
  void* allocate(size_t bytes) override;

 private:
  template <class Body>
  Status call(Operation operation, size_t count, DataType type, Body body);
  template <class Body>
  Status timed(Operation operation, size_t bytes, Body& body);
  Status checkPeer(int peer, bool mayBeSelf) const;
  std::unique_ptr<Group> splitOrThrow(int color, int key, Status& status);
  Status told(Status status) const;
  /// The outcome of a team's collective.
  Status fromTeam(bool done) const { return done ? Status::success() : mesh_.cause(); }
  /// All ranks share memory: the team does the collectives.
  bool oneTeam() const { return team_ && team_->size() == mesh_.size(); }

  std::shared_ptr<Liveness> liveness_;
  Identity identity_;  ///< outlives the mesh: this rank says goodbye before it waits for others' goodbyes
  Mesh mesh_;
  Collectives collectives_;
  std::unique_ptr<HostTeam> team_;  ///< with the ranks of this host, unless it is alone or could not be formed
  CallCounters counters_;
  Stopwatch stopwatch_;
  bool isSplit_ = false;
  uint64_t splits_ = 0;
  std::mutex allocationsMutex_;
  std::vector<void*> allocations_;
};

}  // namespace espalier::transport
