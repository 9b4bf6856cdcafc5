#include "test/transport/faults.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "transport/wire/socket.h"

namespace espalier::test {
namespace {

using transport::DataType;
using transport::ReduceOp;

constexpr size_t kMostFloats = 200'000;
/// How long a dead group's idleness is watched, and how much of it may be CPU time.
constexpr int kIdleUs = 250'000;
double idleCpuSeconds() { return isEmulated() ? 0.1 : 0.02; }

uint16_t portOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

/// Connected TCP sockets of this process, with the two ports of each.
struct Connection {
  int fd;
  uint16_t own, other;
};
std::vector<Connection> connections() {
  std::vector<Connection> found;
  for (int fd = 3; fd < 1'024; ++fd) {
    sockaddr_storage own{}, other{};
    socklen_t ownBytes = sizeof own, otherBytes = sizeof other;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&other), &otherBytes) != 0 || other.ss_family != AF_INET) continue;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &ownBytes) != 0) continue;
    found.push_back({fd, portOf(own), portOf(other)});
  }
  return found;
}

}  // namespace

RandomCalls::RandomCalls(Group& group, uint64_t seed)
    : group_(group), random_(seed), in_(kMostFloats * 8, 1.0f), out_(kMostFloats * 8, 1.0f) {}

size_t RandomCalls::count() {
  // Mostly what a decode step sends, sometimes nothing, sometimes many pieces.
  switch (random_() % 8) {
    case 0: return 0;
    case 1: return kMostFloats / (1 + random_() % 3);
    default: return 1 + random_() % 6'000;
  }
}

Status RandomCalls::next(bool oddly) {
  switch (random_() % 16) {
    case 0: {
      const size_t elements = count();
      return group_.allGather(in_.data(), out_.data(), elements + (oddly ? 1 : 0), DataType::Float32);
    }
    case 1: {
      const size_t elements = count();
      return group_.reduceScatter(in_.data(), out_.data(), elements, DataType::Float32,
                                  oddly ? ReduceOp::Min : ReduceOp::Max);
    }
    case 2: {
      const size_t elements = count();
      const int root = static_cast<int>(random_() % static_cast<uint64_t>(group_.size()));
      return group_.broadcast(in_.data(), elements, DataType::Float32, oddly ? (root + 1) % group_.size() : root);
    }
    case 3: return oddly ? group_.allReduce(in_.data(), out_.data(), 7, DataType::Float32, ReduceOp::Sum)
                         : group_.barrier();
    case 4: return oddly ? group_.barrier() : splitOff();
    case 5: return pass(oddly);
    default: return reduce(oddly);
  }
}

Status RandomCalls::reduce(bool oddly) {
  size_t elements = count();
  DataType type = DataType::Float32;
  ReduceOp op = ReduceOp::Max;
  const uint64_t how = random_() % 3;
  if (oddly && how == 0) elements += 1 + random_() % 9'000;
  if (oddly && how == 1) type = DataType::Int32;
  if (oddly && how == 2) op = ReduceOp::Sum;
  return group_.allReduce(in_.data(), out_.data(), elements, type, op);
}

/// From each rank to the next: the last sends first, so that nobody waits in a circle.
Status RandomCalls::pass(bool oddly) {
  const size_t elements = count() + (oddly ? 3 : 0);
  const int next = (group_.rank() + 1) % group_.size(), previous = (group_.rank() + group_.size() - 1) % group_.size();
  const bool sendsFirst = group_.rank() == group_.size() - 1;
  for (const bool sends : {sendsFirst, !sendsFirst}) {
    const Status status = sends ? group_.send(in_.data(), elements, DataType::Float32, next)
                                : group_.recv(out_.data(), elements, DataType::Float32, previous);
    if (!status.ok()) return status;
  }
  return Status::success();
}

Status RandomCalls::splitOff() {
  Status status;
  const auto child = group_.split(group_.rank() % 2, group_.rank(), status);
  if (child) status = child->allReduce(in_.data(), out_.data(), 1'000, DataType::Float32, ReduceOp::Max);
  // The failure is the family's; as the parent counts ranks it names the guilty one in any case.
  return status.ok() ? status : group_.barrier();
}

Status RandomCalls::askToEnd(bool wish, bool& end) {
  int32_t any = wish ? 1 : 0;
  const Status status = group_.allReduce(&any, &any, 1, DataType::Int32, ReduceOp::Max);
  end = status.ok() && any != 0;
  return status;
}

/// This process's CPU time, all threads.
double cpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void post(Board* board, int rank, const Status& status) {
  std::snprintf(board->codes[rank], sizeof board->codes[rank], "%s", status.code.c_str());
  std::snprintf(board->text[rank], sizeof board->text[rank], "%s", status.message.c_str());
  board->guilty[rank] = status.rank;
  board->times[rank] = nowNs();
}

void endQuietly(std::unique_ptr<Group> group, const Status& status, int descriptorsBefore) {
  if (!status.ok()) {
    const double used = cpuSeconds();
    usleep(kIdleUs);
    CHECK_EQ(group->barrier().message, status.message);
    CHECK(cpuSeconds() - used < idleCpuSeconds());
  }
  group.reset();
  CHECK_EQ(descriptorsOfThisProcess(), descriptorsBefore);
  // A joined thread keeps its entry for a moment.
  eventually("threads are gone", 5, [] { return threadsOfThisProcess() == 1; });
  CHECK(!mapsTransportMemory());
}

int descriptorsOfThisProcess() { return entriesOf("/proc/self/fd"); }

int threadsOfThisProcess() {
#if defined(__SANITIZE_THREAD__)
  constexpr int kSanitizerThreads = 1;
#else
  constexpr int kSanitizerThreads = 0;
#endif
  return entriesOf("/proc/self/task") - 2 - kSanitizerThreads;  // without . and ..
}

bool mapsTransportMemory() {
  std::ifstream maps("/proc/self/maps");
  const std::string text{std::istreambuf_iterator<char>(maps), {}};
  return text.find("memfd:espalier") != std::string::npos || text.find("/dev/shm/esp") != std::string::npos;
}

void corruptConnection(Channel channel, uint16_t rendezvousPort, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Connection> candidates;
  for (const Connection& one : connections()) {
    const bool side = one.own == rendezvousPort || one.other == rendezvousPort;
    if (side == (channel == Channel::Side)) candidates.push_back(one);
  }
  CHECK(!candidates.empty());
  const Connection& chosen = candidates[random() % candidates.size()];
  std::vector<uint8_t> garbage(64 + random() % 200);
  for (uint8_t& byte : garbage) byte = static_cast<uint8_t>(random() | 0x80);
  send(chosen.fd, garbage.data(), garbage.size(), MSG_NOSIGNAL);
}

void vanish() {
#ifdef TCP_REPAIR
  // One that another thread closes meanwhile needs no more.
  const int on = 1;
  for (const Connection& one : connections()) setsockopt(one.fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);
  kill(getpid(), SIGKILL);
#endif
}

bool mayVanish() {
#ifdef TCP_REPAIR
  const transport::Socket socket = transport::newSocket(AF_INET, SOCK_STREAM);
  const int on = 1;
  return setsockopt(socket.fd(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) == 0;
#else
  return false;
#endif
}

}  // namespace espalier::test
