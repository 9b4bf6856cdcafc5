#include "transport/relay/relay_service.h"

#include <algorithm>

#include "transport/failure.h"
#include "transport/silent_thread.h"

namespace espalier::transport {
namespace {

/// Longest wait for ranks that do not stop talking through one that wants to leave.
constexpr int kMostLingerMs = 60'000;
/// To say where to, and to get there: both are matters of milliseconds.
constexpr int kAskMs = 3'000;

Status judgeAsker(const Family& family, const Hello& hello) {
  const int size = static_cast<int>(family.members.size());
  if (hello.purpose != Purpose::Relay || hello.epoch != family.epoch || hello.size != size || hello.rank < 0 ||
      hello.rank >= size) {
    return failure("RendezvousRefused", "this relay belongs to another group");
  }
  return Status::success();
}

/// Asks an admitting relay to connect this end to `port` of rank `next`.
Status askOnward(const Conversation& talk, int before, int next, uint16_t port) {
  ByteWriter writer;
  writer.put(static_cast<int32_t>(before));
  writer.put(static_cast<int32_t>(next));
  writer.put(port);
  Status status = talk.say(FrameType::RelayRequest, writer.bytes());
  if (status.ok()) status = hearVerdict(talk);
  // Not this rank's own.
  if (status.code == "OutOfDescriptors") status.code = "Unreachable";
  return status;
}

}  // namespace

RelayService::RelayService(std::shared_ptr<const Family> family, Socket listener, std::shared_ptr<Liveness> liveness)
    : family_(std::move(family)),
      liveness_(std::move(liveness)),
      acceptor_(
          std::move(listener), family_->secret, "relay port", *family_->notices,
          [this](const Hello& hello) { return judgeAsker(*family_, hello); },
          [this](Arrival arrival) { askers_.push_back({std::move(arrival), deadlineAfterMs(kAskMs)}); }),
      thread_(startSilentThread([this] { run(); })) {}

RelayService::~RelayService() {
  lingerUntil_ = deadlineAfterMs(kMostLingerMs);
  leaving_.store(true, std::memory_order_release);
  wake_.raise();
  thread_.join();
}

void RelayService::run() {
  std::vector<pollfd> fds;
  bool leaving = false;
  while (!liveness_->dead() && !(leaving && mayEnd(Clock::now()))) {
    if (!leaving && leaving_.load(std::memory_order_acquire)) {
      leaving = true;
      lastMoved_ = Clock::now();
      continue;
    }
    fds.clear();
    fds.push_back({liveness_->wakeFd(), POLLIN, 0});
    // Its pipe stays readable for good, so it is not looked at again.
    fds.push_back({leaving ? -1 : wake_.fd(), POLLIN, 0});
    acceptor_.watch(fds);
    const bool examines = fds.size() > 3;
    for (const Asker& asker : askers_) fds.push_back({asker.arrival.socket.fd(), POLLIN, 0});
    bool broken = false;
    for (const Carried& carried : carried_) {
      broken |= carried.brokenAt != Deadline{};
      carried.tunnel.watch(fds);
    }
    int timeoutMs = examines || !askers_.empty() ? 1'000 : -1;
    if (broken) timeoutMs = liveness_->timeoutMs() / 8;
    if (acceptor_.isPaused()) timeoutMs = 100;
    if (leaving) timeoutMs = std::min(remainingMs(lingerUntil_), 50);
    poll(fds.data(), static_cast<nfds_t>(fds.size()), timeoutMs);
    serve(Clock::now());
  }
}

bool RelayService::mayEnd(Deadline now) const {
  if (now - lastMoved_ >= std::chrono::milliseconds(liveness_->timeoutMs())) return true;
  return now >= lingerUntil_ || std::all_of(carried_.begin(), carried_.end(), [](const Carried& carried) {
           return carried.tunnel.owesNothing();
         });
}

void RelayService::serve(Deadline now) {
  for (Carried& carried : carried_) {
    if (carried.tunnel.serve()) lastMoved_ = now;
  }
  for (auto at = carried_.begin(); at != carried_.end();) {
    const bool broke = at->tunnel.brokenEnd() >= 0;
    if (broke && at->brokenAt == Deadline{}) at->brokenAt = now;
    // If a death is behind it, the side channel knows by then; if not, both ranks live and the wire is at fault.
    const bool due = broke && now - at->brokenAt >= std::chrono::milliseconds(liveness_->timeoutMs() / 4);
    if (due) blame(*at);
    at = due || (!broke && at->tunnel.ended()) ? carried_.erase(at) : std::next(at);
  }
  acceptor_.step(0, -1);
  askers_.remove_if([&](Asker& asker) { return !answer(asker) || asker.deadline <= now; });
}

bool RelayService::answer(Asker& asker) {
  Frame frame;
  const int fd = asker.arrival.socket.fd();
  const FrameResult result = asker.arrival.reader.read(fd, frame);
  if (result == FrameResult::NotYet) return true;
  // Whoever asks hears that what it said was damaged.
  if (result == FrameResult::Garbage) sendVerdict(fd, damaged());
  if (result != FrameResult::Frame || frame.type != FrameType::RelayRequest) return false;
  ByteReader fields(frame.payload);
  const auto from = fields.get<int32_t>();
  const auto to = fields.get<int32_t>();
  const auto port = fields.get<uint16_t>();
  const auto size = static_cast<int32_t>(family_->members.size());
  if (!fields.ok() || from < 0 || from >= size || to < 0 || to >= size) return false;
  Socket onward;
  const Status status =
      dialOnce(family_->members[to].dataHost, port, deadlineAfterMs(kAskMs), liveness_->wakeFd(), onward);
  if (!sendVerdict(fd, status) || !status.ok()) return false;
  carried_.push_back({Tunnel(std::move(asker.arrival.socket), std::move(onward)), {from, to}});
  return false;
}

void RelayService::blame(const Carried& carried) {
  const int guilty = carried.ranks[carried.tunnel.brokenEnd()];
  liveness_->fail(failure("PeerLost",
                          "rank " + std::to_string(family_->rank) + " passes data on between ranks " +
                              std::to_string(carried.ranks[0]) + " and " + std::to_string(carried.ranks[1]) +
                              ", and its connection to rank " + std::to_string(guilty) + " broke",
                          guilty, "tcp"));
}

Status dialThrough(const Family& family, int to, uint16_t port, Deadline deadline, int wakeFd, Socket& socket) {
  const std::vector<int> route = family.graph.between(family.rank, to);
  Hello hello;
  hello.purpose = Purpose::Relay;
  hello.rank = family.rank;
  hello.size = static_cast<int>(family.members.size());
  hello.epoch = family.epoch;
  FrameReader reader;
  const Member& first = family.members[route.front()];
  Status status = dialOnce(first.dataHost, first.relayPort, deadline, wakeFd, socket);
  // Each relay connects to the next one, and the request to that one goes through the connections so far: no relay
  // ever waits for another.
  for (size_t i = 0; i < route.size() && status.ok(); ++i) {
    const Conversation talk{socket.fd(), reader, deadline, wakeFd};
    status = introduce(talk, family.secret, hello);
    const bool last = i + 1 == route.size();
    const int before = i == 0 ? family.rank : route[i - 1], next = last ? to : route[i + 1];
    if (status.ok()) status = askOnward(talk, before, next, last ? port : family.members[next].relayPort);
    if (!status.ok()) status.message = "through rank " + std::to_string(route[i]) + ": " + status.message;
  }
  return status;
}

}  // namespace espalier::transport
