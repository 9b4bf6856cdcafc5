#include <unistd.h>

#include "bench/perf/library.h"

namespace espalier::perf {
namespace {

using transport::Group;
using transport::GroupOptions;
using transport::ReduceOp;

class EspalierLibrary : public Library {
 public:
  explicit EspalierLibrary(std::unique_ptr<Group> group) : group_(std::move(group)) {}

  void* allocate(size_t bytes, Role) override { return group_->allocate(bytes); }

  Status run(const Cell& cell, const void* in, void* out) override {
    const size_t count = elementCount(cell);
    switch (cell.collective) {
      case Collective::AllReduce: return group_->allReduce(in, out, count, cell.type, ReduceOp::Sum);
      case Collective::AllGather: return group_->allGather(in, out, count, cell.type);
      case Collective::ReduceScatter: return group_->reduceScatter(in, out, count, cell.type, ReduceOp::Sum);
      case Collective::Broadcast: return broadcastFromAll(cell, out);
      case Collective::Send: return sendAndReturn(cell, in, out);
      case Collective::Barrier: return group_->barrier();
    }
    return Status::failure("InvalidArgument", "there is no such collective");
  }

 private:
  Status broadcastFromAll(const Cell& cell, void* data) {
    Status status;
    for (int root = cell.ranks - 1; root >= 0 && status.ok(); --root) {
      status = group_->broadcast(data, elementCount(cell), cell.type, root);
    }
    return status;
  }

  Status sendAndReturn(const Cell& cell, const void* in, void* out) {
    const size_t count = elementCount(cell);
    const bool first = group_->rank() == 0;
    Status status = first ? group_->send(in, count, cell.type, 1) : group_->recv(out, count, cell.type, 0);
    if (!status.ok()) return status;
    return first ? group_->recv(out, count, cell.type, 1) : group_->send(in, count, cell.type, 0);
  }

  std::unique_ptr<Group> group_;
};

void giveDevices(const Seat& seat, const EspalierOptions& options, GroupOptions& group) {
  if (options.verbsDevices.empty()) return;
  const std::string& device = options.verbsDevices[static_cast<size_t>(seat.rank) % options.verbsDevices.size()];
  for (int peer = 0; peer < seat.ranks; ++peer) {
    if (peer != seat.rank) group.verbsCables.push_back({peer, device});
  }
}

}  // namespace

std::unique_ptr<Library> openEspalier(const Seat& seat, const EspalierOptions& options, Status& status) {
  Board::Crew& crew = seat.board->crews[seat.crew];
  std::atomic<int>& port = crew.rendezvousPort;
  GroupOptions group;
  group.livenessTimeoutMs = 2'000;  // all that may be tolerated: other work may keep a rank from its core for a second
  group.rank = seat.rank;
  group.size = seat.ranks;
  group.secret = "measurement";
  group.links = {options.link};
  giveDevices(seat, options, group);
  group.onListeningContext = &port;
  group.onListening = [](uint16_t bound, void* context) { *static_cast<std::atomic<int>*>(context) = bound; };
  while (seat.rank > 0 && port == 0) {
    if (crew.stop != 0) {
      status = Status::failure("GroupAborted", "the run ended before rank 0 listened");
      return nullptr;
    }
    usleep(1'000);
  }
  group.rendezvousPort = static_cast<uint16_t>(seat.rank > 0 ? port.load() : 0);
  auto made = Group::create(group, status);
  return made ? std::make_unique<EspalierLibrary>(std::move(made)) : nullptr;
}

}  // namespace espalier::perf
