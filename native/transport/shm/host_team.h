#pragma once
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "transport/shm/staging_copy.h"
#include "transport/shm/team_wait.h"

namespace espalier::transport {

struct TeamBlocks;

/// The ranks of a group that share a host, over one segment that all of them map. Collectives among them in as few
/// steps as the data allow: inputs are read where they lie if that is the team's own memory (allocate), else from a
/// staged copy; results are written to where they belong, or left for the others to fetch.
///
/// All members make the same calls in the same order, one thread at a time. `false` means that the group is dead:
/// Liveness has the cause. Reductions have the order of reduceTree over the members.
class HostTeam {
 public:
  HostTeam(TeamSegment segment, TeamSeat seat, std::shared_ptr<Liveness> liveness);
  /// Leaves in order, unless the group is dead.
  ~HostTeam();
  HostTeam(const HostTeam&) = delete;
  HostTeam& operator=(const HostTeam&) = delete;

  /// The group's ranks in the team, ascending; and this rank's place among them.
  const std::vector<int>& members() const { return seat_.members; }
  int index() const { return seat_.index; }
  int size() const { return static_cast<int>(seat_.members.size()); }
  const TeamCounters& counters(int member) const { return counters_[member]; }

  [[nodiscard]] bool allReduce(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  /// As Group's, with the team's size in place of the group's.
  [[nodiscard]] bool allGather(const void* in, void* out, size_t count, DataType type);
  [[nodiscard]] bool reduceScatter(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  /// `root` is a place in the team.
  [[nodiscard]] bool broadcast(void* data, size_t count, DataType type, int root);
  [[nodiscard]] bool barrier(Operation operation = Operation::Barrier);

  /// The two halves of an all-reduce: afterwards only slice index() of `out` holds the reduction; and from each
  /// member's slice in `data` to all of it everywhere.
  struct Slice {
    size_t offset, bytes;
  };
  static Slice slice(size_t bytes, int members, int index);
  [[nodiscard]] bool reduceSlices(const void* in, void* out, size_t count, DataType type, ReduceOp op);
  [[nodiscard]] bool gatherSlices(void* data, size_t count, DataType type);

  /// What `member` is calling that this rank has not begun to call, for messages; empty when it is not ahead.
  std::string aheadWith(int member) const;

  /// Memory of the team, 64-byte aligned; null when there is not enough left. Any thread. Lives as long as the team.
  void* allocate(size_t bytes);

 private:
  /// Where the members' buffers of the present call lie; null: staged.
  struct Buffers {
    const std::byte* in = nullptr;
    std::byte* out = nullptr;
  };
  Header headerOf(Operation operation, size_t count, DataType type) const;
  ArenaOffset offsetOf(const void* data, size_t bytes) const;
  /// Starts a call once nobody can still need what the last but one left.
  bool begin(const Header& header);
  void announce(ArenaOffset in, ArenaOffset out);
  /// Waits until all have announced this call, and checks that they make the same.
  bool meet();
  bool meetOne(int member, uint32_t call);
  /// Takes the next `bytes` of all members' rings for this call, and says where a member's lie.
  void takeRing(size_t bytes);
  std::byte* whole(int member) const { return segment_.ring(member) + wholeAt_; }
  /// The same for a pipeline; staged chunk of a contribution, and of a result.
  void takeChunks(uint32_t chunks);
  std::byte* chunk(int member, uint32_t index) const { return slot(member, 2 * index); }
  std::byte* result(int member, uint32_t index) const { return slot(member, 2 * index + 1); }
  std::byte* slot(int member, uint32_t number) const;
  void publishStep(uint32_t step);
  bool awaitStep(uint32_t step);
  void endCall(uint32_t steps) { base_ += steps; }
  bool everyoneIn() const;
  bool everyoneOut() const;
  void count(int member, size_t sent, size_t received);

  bool reduceWhole(const std::byte* in, std::byte* out, ArenaOffset inAt, ArenaOffset outAt);
  template <class Stage, class Consume, class Collect>
  bool pipeline(uint32_t chunks, Stage stage, Consume consume, Collect collect);
  bool reduceScattered(const TeamBlocks& blocks, const std::byte* in, std::byte* out);
  bool runBlocks(TeamBlocks blocks, const std::byte* in, std::byte* out, bool gather);
  TeamBlocks evenBlocks(size_t bytes) const;
  void stageBlocks(const TeamBlocks& blocks, const std::byte* in, uint32_t number);
  void reduceOwn(const TeamBlocks& blocks, const std::byte* in, std::byte* out, uint32_t number, bool gather);
  void collectBlocks(const TeamBlocks& blocks, std::byte* out, uint32_t number);
  void reduceInto(std::span<std::byte* const> targets, std::byte* staged, size_t bytes, bool stream);
  bool gatherByChunks(const std::byte* in, std::byte* out, size_t stride);

  TeamSegment segment_;
  const TeamSeat seat_;
  std::shared_ptr<Liveness> liveness_;
  std::vector<TeamCounters> counters_;
  TeamWait wait_;
  uint32_t call_;  ///< number of the present call; a fresh segment begins with 0
  uint32_t base_;  ///< progress of all members at its start
  Header headers_[2];  ///< of the present and the last call
  std::vector<uint32_t> met_;  ///< by member: the last call that it was met in
  std::vector<Buffers> buffers_;
  std::vector<const void*> inputs_;
  std::vector<std::byte> scratch_;
  StagingCopy stage_;
  size_t ringAt_ = 0;      ///< what comes next
  size_t wholeAt_ = 0;     ///< of the present call
  uint32_t firstSlot_ = 0;
  std::mutex arenaMutex_;
  size_t arenaUsed_ = 0;
};

}  // namespace espalier::transport
