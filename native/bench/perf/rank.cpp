#include "bench/perf/rank.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "bench/perf/perftest.h"
#include "bench/perf/wire.h"
#include "bench/perf/workspace.h"
#include "transport/stopwatch.h"

namespace espalier::perf {
namespace {

class RankServer {
 public:
  RankServer(const Seat& seat, bool isPinned, int socket, std::unique_ptr<Library> library)
      : seat_(seat), isPinned_(isPinned), socket_(socket), library_(std::move(library)) {}

  int serve() {
    Command command;
    while (readAll(socket_, &command, sizeof command)) {
      Reply reply;
      const std::string why = carryOut(command, reply);
      reply.ok = why.empty() ? 1 : 0;
      std::snprintf(reply.error, sizeof reply.error, "%s", why.c_str());
      if (!writeAll(socket_, &reply, sizeof reply)) return 1;
      if (!why.empty()) return 1;
    }
    return 0;
  }

 private:
  std::string carryOut(const Command& command, Reply& reply) {
    switch (command.kind) {
      case Command::Kind::Prepare: return prepare(command.cell);
      case Command::Kind::Measure: return measure(command, reply);
      case Command::Kind::Probe: reply.probeUs = probeUs(*library_); return "";
    }
    return "unknown command";
  }

  Workspace& workspaceOf(const Cell& cell) { return workspaces_[static_cast<size_t>(cell.buffers)]; }

  /// Buffers for the cell, and one unit whose every value is checked.
  std::string prepare(const Cell& cell) {
    Workspace& workspace = workspaceOf(cell);
    workspace.release();
    if (std::string why = workspace.prepare(*library_, cell); !why.empty()) return why;
    workspace.fill(cell, seat_.rank);
    if (const Status status = unit(cell); !status.ok()) return textOf(status);
    std::string why = workspace.verify(cell, seat_.rank);
    if (cell.inPlace != 0) workspace.clear(cell);
    return why;
  }

  Status unit(const Cell& cell) {
    const Workspace& workspace = workspaceOf(cell);
    if (cell.collective == Collective::Send && seat_.rank > 1) return Status::success();
    void* out = cell.inPlace != 0 ? const_cast<void*>(workspace.in()) : workspace.out();
    return library_->run(cell, workspace.in(), out);
  }

  static std::string textOf(const Status& status) { return status.code + ": " + status.message; }

  std::string measure(const Command& command, Reply& reply) {
    const Cell& cell = command.cell;
    times_.clear();
    stopwatch_.learnRate();
    double began = nowUs();
    for (uint32_t i = 0; i < command.warmups + command.units; ++i) {
      if (i == command.warmups) began = nowUs();
      workspaceOf(cell).touch(cell);
      // Ranks that share cores cannot start together: whoever waits is in the way of those that are waited for.
      if (isPinned_ && meet(*seat_.board, seat_.crew, seat_.rank, seat_.ranks, ++turn_) == Meeting::Ended) {
        return "the run ended";
      }
      const uint64_t start = stopwatch_.read();
      const Status status = unit(cell);
      const std::chrono::duration<double, std::micro> took = stopwatch_.since(start);
      if (!status.ok()) return textOf(status);
      if (i >= command.warmups) times_.push_back(took.count() / callsPerUnit(cell));
    }
    reply.wallUs = nowUs() - began;
    summarise(cell, reply);
    return "";
  }

  void summarise(const Cell& cell, Reply& reply) {
    // A round trip is over when its first rank has its own back; the others still return from their sends then.
    if (times_.empty() || (cell.collective == Collective::Send && seat_.rank != 0)) return;
    std::sort(times_.begin(), times_.end());
    double sum = 0;
    for (const double time : times_) sum += time;
    reply.units = static_cast<uint32_t>(times_.size());
    reply.minUs = times_.front();
    reply.medianUs = times_[times_.size() / 2];
    reply.p99Us = times_[times_.size() * 99 / 100];
    reply.meanUs = sum / static_cast<double>(times_.size());
  }

  Seat seat_;
  bool isPinned_;
  int socket_;
  std::unique_ptr<Library> library_;
  std::array<Workspace, 2> workspaces_;
  std::vector<double> times_;
  transport::Stopwatch stopwatch_;  ///< ib_send_lat goes by the counter, too
  uint32_t turn_ = 0;
};

/// Says who has come and whether it is ready. The socket to the conductor, or -1.
int report(const std::string& folder, const Seat& seat, const Status& status) {
  const int socket = connectTo(folder + "/conductor");
  if (socket < 0) return -1;
  const Hello hello{seat.crew, seat.rank, static_cast<int32_t>(getpid())};
  Reply reply;
  reply.ok = status.ok() ? 1 : 0;
  std::snprintf(reply.error, sizeof reply.error, "%s: %s", status.code.c_str(), status.message.c_str());
  return writeAll(socket, &hello, sizeof hello) && writeAll(socket, &reply, sizeof reply) ? socket : -1;
}

int serveWith(const std::string& folder, const Seat& seat, bool isPinned, std::unique_ptr<Library> library,
              const Status& status) {
  const int socket = report(folder, seat, status);
  return socket < 0 || library == nullptr ? 1 : RankServer(seat, isPinned, socket, std::move(library)).serve();
}

}  // namespace

int serveEspalier(const std::string& folder, Seat seat, const EspalierOptions& options) {
  const bool isPinned = pinTo(seat.rank, seat.ranks);
  Status status;
  auto library = openEspalier(seat, options, status);
  return serveWith(folder, seat, isPinned, std::move(library), status);
}

int serveFloor(const std::string& folder, Seat seat, const FloorPlace& place) {
  const bool isPinned = pinTo(seat.rank, seat.ranks);
  return serveWith(folder, seat, isPinned, openFloor(seat, place), Status::success());
}

int servePerftest(const std::string& folder, Seat seat, const std::vector<std::string>& devices) {
  pinTo(seat.rank, seat.ranks);
  const int socket = report(folder, seat, Status::success());
  Command command;
  while (socket >= 0 && readAll(socket, &command, sizeof command)) {
    Reply reply;
    std::string why;
    if (command.kind == Command::Kind::Measure) why = runPerftest(seat, devices, command.cell, reply);
    reply.ok = why.empty() ? 1 : 0;
    std::snprintf(reply.error, sizeof reply.error, "%s", why.c_str());
    if (!writeAll(socket, &reply, sizeof reply) || !why.empty()) return 1;
  }
  return 0;
}

int serveMpi(const std::string& folder, int crew) {
  Seat seat;
  seat.board = openBoard(folder);
  seat.crew = crew;
  if (seat.board == nullptr || crew < 0 || crew >= kMaxCrews) return 1;
  Status status;
  auto library = openMpi(seat, status);
  const bool isPinned = pinTo(seat.rank, seat.ranks);
  return serveWith(folder, seat, isPinned, std::move(library), status);
}

}  // namespace espalier::perf
