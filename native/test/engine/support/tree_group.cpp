#include "support/tree_group.h"

#include <barrier>
#include <cstdlib>
#include <cstring>

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

struct Meeting {
  explicit Meeting(int size) : barrier(size), inputs(static_cast<size_t>(size)) {}
  std::barrier<> barrier;
  std::vector<std::vector<float>> inputs;
};

class TreeGroup final : public transport::Group {
 public:
  TreeGroup(int rank, int size, std::shared_ptr<Meeting> meeting) : rank_(rank), size_(size), meeting_(std::move(meeting)) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  Status allReduce(const void* in, void* out, size_t count, DataType, ReduceOp) override {
    share(in, count);
    std::vector<std::vector<float>> parts = meeting_->inputs;
    for (size_t step = 1; step < parts.size(); step *= 2)
      for (size_t at = 0; at + step < parts.size(); at += 2 * step)
        for (size_t i = 0; i < count; i++) parts[at][i] += parts[at + step][i];
    std::memcpy(out, parts[0].data(), count * sizeof(float));
    meeting_->barrier.arrive_and_wait();
    return Status::success();
  }
  Status allGather(const void* in, void* out, size_t count, DataType) override {
    share(in, count);
    for (size_t rank = 0; rank < meeting_->inputs.size(); rank++)
      std::memcpy(static_cast<float*>(out) + rank * count, meeting_->inputs[rank].data(), count * sizeof(float));
    meeting_->barrier.arrive_and_wait();
    return Status::success();
  }
  Status barrier() override { return meeting_->barrier.arrive_and_wait(), Status::success(); }
  Status reduceScatter(const void*, void*, size_t, DataType, ReduceOp) override { return unused(); }
  Status broadcast(void*, size_t, DataType, int) override { return unused(); }
  Status send(const void*, size_t, DataType, int) override { return unused(); }
  Status recv(void*, size_t, DataType, int) override { return unused(); }
  std::unique_ptr<Group> split(int, int, Status& status) override { return status = unused(), nullptr; }
  void abort(const std::string&) override {}
  transport::GroupStats stats() const override { return {}; }
  void* allocate(size_t) override { return nullptr; }

 private:
  static Status unused() { return Status::failure("Internal", "the engine's model does not use this collective"); }
  void share(const void* in, size_t count) {
    const auto* values = static_cast<const float*>(in);
    meeting_->inputs[static_cast<size_t>(rank_)].assign(values, values + count);
    meeting_->barrier.arrive_and_wait();
  }

  int rank_, size_;
  std::shared_ptr<Meeting> meeting_;
};

}  // namespace

std::vector<std::unique_ptr<transport::Group>> makeTreeGroups(int size) {
  auto meeting = std::make_shared<Meeting>(size);
  std::vector<std::unique_ptr<transport::Group>> groups;
  for (int rank = 0; rank < size; rank++) groups.push_back(std::make_unique<TreeGroup>(rank, size, meeting));
  return groups;
}

}  // namespace espalier::test
