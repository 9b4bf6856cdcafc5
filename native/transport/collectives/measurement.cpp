#include <array>
#include <cmath>

#include "transport/collectives/collectives.h"
#include "transport/reduce/kernels.h"

namespace espalier::transport {
namespace {

constexpr size_t kSmallBytes = 64;
constexpr size_t kLargeBytes = 32 * 1024;
/// A batch of steps takes about this long, if that is not too few or too many of them: a dozen batches stay well under
/// 30 ms.
constexpr double kBatchUs = 600;
constexpr int kMostInBatch = 8;
/// Where one step takes longer than this, as when sixteen ranks share two cores and half of their data is relayed,
/// nothing is measured but that.
constexpr double kTooSlowUs = 5'000;

double elapsedUs(Deadline since) { return std::chrono::duration<double, std::micro>(Clock::now() - since).count(); }

}  // namespace

/// Times the steps that the algorithms are made of, with all ranks at it as in earnest: batches of steps without a
/// pause, so that teams get in each other's way as they will. The better of two batches counts, which leaves out what
/// else the host does; and of all ranks the slowest, since the others wait for it.
class Collectives::Measurement {
 public:
  explicit Measurement(Collectives& collectives)
      : collectives_(collectives),
        shape_(collectives.cabling_.shape),
        buffer_(kLargeBytes) {}

  Status run(CostFigures& figures) {
    const int rank = collectives_.mesh_.rank(), n = shape_.ranks;
    double firstUs = 0;
    Status status = prepare(firstUs);
    if (!status.ok()) return status;
    if (firstUs > kTooSlowUs) {
      guess(firstUs, figures);
      return status;
    }
    status = time(collectives_.everybody_, figures.all);
    if (status.ok() && shape_.perHost > 0) {
      const Levels levels{2, {static_cast<uint8_t>(shape_.perHost), static_cast<uint8_t>(n / shape_.perHost)}};
      status = collectives_.team_ != nullptr ? timeTeam(figures.host) : time(teamOf(rank, levels, 0), figures.host);
      if (status.ok()) status = time(teamOf(rank, levels, 1), figures.cross);
    } else if (status.ok() && n > 2 && n % 2 == 0 && shape_.everyPairWired && shape_.uniform) {
      status = time(teamOf(rank, {2, {2, static_cast<uint8_t>(n / 2)}}, 0), figures.pair);
    }
    if (status.ok() && n > 2 && shape_.ringOfWires) {
      const int place = collectives_.places_[rank];
      status = time({{collectives_.atPlace(place - 1), rank, collectives_.atPlace(place + 1)}, 1}, figures.ring);
    }
    timeReduction(figures.reduceUsPerByte);
    return status.ok() ? agree(figures) : status;
  }

 private:
  /// The first step may pay for what the others find ready; the second says how many of them make a batch.
  Status prepare(double& us) {
    Status status = step(collectives_.everybody_, kSmallBytes);
    const Deadline began = Clock::now();
    if (status.ok()) status = step(collectives_.everybody_, kSmallBytes);
    int64_t ns = std::llround(elapsedUs(began) * 1e3);
    if (status.ok()) status = collectives_.allReduce(&ns, &ns, 1, DataType::Int64, ReduceOp::Max);
    us = static_cast<double>(ns) / 1e3;
    inBatch_ = std::clamp(static_cast<int>(kBatchUs / us), 1, kMostInBatch);
    return status;
  }

  /// A step to all, and next to nothing of anything else: what few messages do is then best.
  void guess(double stepUs, CostFigures& figures) const {
    const double peers = shape_.ranks - 1;
    figures.all = {stepUs, stepUs / kLargeBytes};
    const auto among = [&](double others) { return StepCost{stepUs * others / peers, stepUs / kLargeBytes * others / peers}; };
    figures.pair = figures.cross = among(1);
    figures.ring = among(std::min(peers, 2.0));
    figures.host = among(std::max(shape_.perHost - 1, 0));
    figures.reduceUsPerByte = stepUs / kLargeBytes / 100;
  }

  Status time(const Team& team, StepCost& cost) {
    return time([&](size_t bytes) { return step(team, bytes); }, cost);
  }

  Status timeTeam(StepCost& cost) {
    const auto reduce = [&](size_t bytes) {
      return collectives_.fromTeam(collectives_.team_->allReduce(buffer_.data(), buffer_.data(), bytes / sizeof(float),
                                                                 DataType::Float32, ReduceOp::Sum));
    };
    return time(reduce, cost);
  }

  template <class Step>
  Status time(Step step, StepCost& cost) {
    double smallUs = 0, largeUs = 0;
    Status status = better([&] { return step(kSmallBytes); }, smallUs);
    if (status.ok()) status = better([&] { return step(kLargeBytes); }, largeUs);
    cost.startUs = smallUs;
    cost.usPerByte = std::max(0.0, largeUs - smallUs) / (kLargeBytes - kSmallBytes);
    return status;
  }

  template <class Body>
  Status better(Body body, double& us) {
    us = INFINITY;
    for (int batch = 0; batch < (inBatch_ > 1 ? 2 : 1); ++batch) {
      const Deadline began = Clock::now();
      for (int i = 0; i < inBatch_; ++i) {
        const Status status = body();
        if (!status.ok()) return status;
      }
      us = std::min(us, elapsedUs(began) / inBatch_);
    }
    return Status::success();
  }

  Status step(const Team& team, size_t bytes) {
    const Header header = pieceOf(collectives_.open(Operation::Barrier, bytes, DataType::Uint8), 0, bytes);
    collectives_.clear();
    for (int i = 1; i < team.size(); ++i) {
      collectives_.sendTo(team.peer(i), header, buffer_.data());
      collectives_.receiveFrom(team.peer(i), header);
    }
    const Status status = collectives_.run();
    if (status.ok()) collectives_.mesh_.release(collectives_.incoming_);
    return status;
  }

  void timeReduction(double& usPerByte) {
    double us = INFINITY;
    for (int i = 0; i < 3; ++i) {
      const Deadline began = Clock::now();
      reducePair(buffer_.data(), buffer_.data(), buffer_.data(), kLargeBytes / sizeof(float), DataType::Float32,
                 ReduceOp::Sum);
      us = std::min(us, elapsedUs(began));
    }
    usPerByte = us / kLargeBytes;
  }

  /// In picoseconds: integers, of which all ranks get the same.
  Status agree(CostFigures& figures) {
    double* const all[] = {&figures.all.startUs,   &figures.all.usPerByte,   &figures.pair.startUs,
                           &figures.pair.usPerByte, &figures.host.startUs,    &figures.host.usPerByte,
                           &figures.cross.startUs,  &figures.cross.usPerByte, &figures.ring.startUs,
                           &figures.ring.usPerByte, &figures.reduceUsPerByte};
    std::array<int64_t, std::size(all)> picoseconds{};
    for (size_t i = 0; i < picoseconds.size(); ++i) picoseconds[i] = std::llround(*all[i] * 1e6);
    const Status status = collectives_.allReduce(picoseconds.data(), picoseconds.data(), picoseconds.size(),
                                                 DataType::Int64, ReduceOp::Max);
    for (size_t i = 0; i < picoseconds.size(); ++i) *all[i] = static_cast<double>(picoseconds[i]) / 1e6;
    return status;
  }

  Collectives& collectives_;
  const GroupShape& shape_;
  int inBatch_ = 1;
  std::vector<std::byte> buffer_;
};

Status Collectives::agreeOnPieces() {
  auto pieceBytes = static_cast<int64_t>(mesh_.ownPieceBytes());
  const Status status = allReduce(&pieceBytes, &pieceBytes, 1, DataType::Int64, ReduceOp::Min);
  if (status.ok()) mesh_.agreeOnPieces(static_cast<size_t>(pieceBytes));
  return status;
}

/// There a stopwatch tells whose turn it was: of groups formed one after another, the same step took 16 µs in one and
/// 200 in the next, and the algorithm that was chosen for 64 KiB up to twice as long as the best.
bool Collectives::sharesCores() const {
  const GroupShape& shape = cabling_.shape;
  bool isTcp = true;
  for (int peer = 0; peer < mesh_.size(); ++peer) {
    isTcp &= peer == mesh_.rank() || mesh_.link(peer)->kind() == LinkKind::Tcp;
  }
  return mesh_.place().crowded && isTcp && shape.everyPairWired && shape.uniform && shape.perHost == 0;
}

Status Collectives::settle(HostTeam* team) {
  if (mesh_.size() == 1) return Status::success();
  const bool hasTeam = team != nullptr && team->size() == cabling_.shape.perHost;
  std::array<int32_t, 2> agreed{hasTeam, sharesCores()};
  Status status = allReduce(agreed.data(), agreed.data(), agreed.size(), DataType::Int32, ReduceOp::Min);
  if (!status.ok()) return status;
  cabling_.shape.hostTeams = agreed[0] != 0;
  cabling_.shape.sharesCores = agreed[1] != 0;
  team_ = agreed[0] != 0 ? team : nullptr;
  if (!cabling_.shape.sharesCores) status = Measurement(*this).run(figures_);
  if (!status.ok()) return status;
  Plan plan = makePlan(cabling_.shape, cabling_.shape.sharesCores ? figuresOfSharedCores(cabling_.shape.ranks) : figures_);
  // All have the same figures. That all have the same plan shall not hang on their arithmetic as well.
  status = broadcast(&plan, sizeof plan, DataType::Uint8, 0);
  if (status.ok()) plan_ = plan;
  return status;
}

void Collectives::report(GroupStats& stats) const {
  constexpr double kMib = 1 << 20;
  const auto add = [&](const char* name, const StepCost& cost) {
    if (cost.startUs > 0) stats.steps.push_back({name, cost.startUs, cost.usPerByte * kMib});
  };
  add("all", figures_.all);
  add("pair", figures_.pair);
  add("host", figures_.host);
  add("cross", figures_.cross);
  add("ring", figures_.ring);
  for (const bool anyOrder : {false, true}) {
    const Plan::Table& table = anyOrder ? plan_.anyOrder : plan_.ordered;
    for (uint64_t i = 0; i < table.count; ++i) {
      stats.algorithms.push_back({choiceName(table.choices[i]), table.choices[i].fromBytes, anyOrder});
    }
  }
}

}  // namespace espalier::transport
