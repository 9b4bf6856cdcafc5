// The bare exchanges. Two pinned processes, nothing but the bytes, one flag per call, and the sum:
//   shared memory, own   inputs lie in shared memory already: flag, wait, add the peer's
//   shared memory, any   the input is copied there first
//   TCP                  both directions at once on one non-blocking socket, spinning, then add
// A send is the same there and back: the message is copied into shared memory and out of it, or written and read.
// A yardstick, not a bound: no failure of a peer is noticed and no order of ranks is kept.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "bench/perf/library.h"
#include "transport/reduce/kernels.h"
#include "transport/relax.h"

namespace espalier::perf {
namespace {

#if defined(__linux__) && defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void addFloats(float* __restrict out, const float* __restrict a, const float* __restrict b, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = a[i] + b[i];
}

void add(void* out, const void* a, const void* b, const Cell& cell) {
  const size_t count = elementCount(cell);
  if (cell.type == DataType::Float32) {
    addFloats(static_cast<float*>(out), static_cast<const float*>(a), static_cast<const float*>(b), count);
  } else {
    transport::reducePair(out, a, b, count, cell.type, transport::ReduceOp::Sum);
  }
}

class FloorLibrary : public Library {
 public:
  FloorLibrary(const Seat& seat, const FloorPlace& place) : seat_(seat), place_(place) {}

  void* allocate(size_t bytes, Role role) override {
    // The result of a bare exchange is private memory.
    return role == Role::Output || bytes > place_.slotBytes ? nullptr : slot(seat_.rank, 0);
  }

  Status run(const Cell& cell, const void* in, void* out) override {
    const bool shared = cell.link == LinkKind::SharedMemory;
    bool done = false;
    if (cell.collective == Collective::Send) {
      done = shared ? bounceShared(cell, in, out) : bounceSocket(cell, in, out);
    } else {
      done = shared ? exchangeShared(cell, in, out) : exchangeSocket(cell, in, out);
    }
    return done ? Status::success() : Status::failure("GroupAborted", "the bare exchange lost its peer");
  }

 private:
  char* slot(int rank, unsigned index) const { return place_.shared + (rank * 2 + index) * place_.slotBytes; }
  bool goesOn(uint32_t spins) const {
    return spins % 1024 != 0 || seat_.board->crews[seat_.crew].stop.load(std::memory_order_relaxed) == 0;
  }
  void signal() { place_.flags[seat_.rank].value.store(++signalled_, std::memory_order_release); }
  bool wait() {
    ++awaited_;
    const std::atomic<uint32_t>& flag = place_.flags[1 - seat_.rank].value;
    for (uint32_t spins = 1; static_cast<int32_t>(flag.load(std::memory_order_acquire) - awaited_) < 0; ++spins) {
      if (!goesOn(spins)) return false;
      transport::relax();
    }
    return true;
  }

  bool exchangeShared(const Cell& cell, const void* in, void* out) {
    // Two slots in turn: one flag per call is then enough, nobody writes where the other still reads.
    const unsigned index = cell.buffers == Buffers::Own ? 0 : turn_++ & 1;
    if (cell.buffers == Buffers::Any) std::memcpy(slot(seat_.rank, index), in, cell.bytes);
    signal();
    if (!wait()) return false;
    add(out, in, slot(1 - seat_.rank, index), cell);
    return true;
  }

  bool bounceShared(const Cell& cell, const void* in, void* out) {
    const bool first = seat_.rank == 0;
    for (int half = 0; half < 2; ++half) {
      if (first == (half == 0)) {
        std::memcpy(slot(seat_.rank, 0), in, cell.bytes);
        signal();
      } else {
        if (!wait()) return false;
        std::memcpy(out, slot(1 - seat_.rank, 0), cell.bytes);
      }
    }
    return true;
  }

  /// Moves `sendBytes` out and `receiveBytes` in at once, as far as the socket takes and gives.
  bool move(const char* out, size_t sendBytes, char* in, size_t receiveBytes) {
    const int socket = place_.sockets[seat_.rank];
    for (uint32_t spins = 1; sendBytes > 0 || receiveBytes > 0; ++spins) {
      if (sendBytes > 0) {
        const ssize_t sent = send(socket, out, sendBytes, MSG_DONTWAIT);
        if (sent > 0) out += sent, sendBytes -= static_cast<size_t>(sent);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
      }
      if (receiveBytes > 0) {
        const ssize_t received = recv(socket, in, receiveBytes, MSG_DONTWAIT);
        if (received > 0) in += received, receiveBytes -= static_cast<size_t>(received);
        if (received == 0 || (received < 0 && errno != EAGAIN && errno != EINTR)) return false;
      }
      if (!goesOn(spins)) return false;
    }
    return true;
  }

  bool exchangeSocket(const Cell& cell, const void* in, void* out) {
    if (received_.size() < cell.bytes) received_.resize(cell.bytes);
    if (!move(static_cast<const char*>(in), cell.bytes, received_.data(), cell.bytes)) return false;
    add(out, in, received_.data(), cell);
    return true;
  }

  bool bounceSocket(const Cell& cell, const void* in, void* out) {
    const auto* message = static_cast<const char*>(in);
    auto* room = static_cast<char*>(out);
    const bool first = seat_.rank == 0;
    return first ? move(message, cell.bytes, nullptr, 0) && move(nullptr, 0, room, cell.bytes)
                 : move(nullptr, 0, room, cell.bytes) && move(message, cell.bytes, nullptr, 0);
  }

  Seat seat_;
  FloorPlace place_;
  std::vector<char> received_;
  unsigned turn_ = 0;
  uint32_t signalled_ = 0, awaited_ = 0;
};

bool connectPair(int sockets[2]) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  bool made = listener >= 0 && bind(listener, plain, length) == 0 && listen(listener, 1) == 0 &&
              getsockname(listener, plain, &length) == 0;
  if (made) {
    sockets[0] = socket(AF_INET, SOCK_STREAM, 0);
    made = sockets[0] >= 0 && connect(sockets[0], plain, length) == 0;
  }
  if (made) sockets[1] = accept(listener, nullptr, nullptr);
  if (listener >= 0) close(listener);
  if (!made || sockets[1] < 0) return false;
  for (int i = 0; i < 2; ++i) {
    const int on = 1;
    setsockopt(sockets[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#ifdef __linux__
    // The least that the machine allows: without the timers of BBR, where that is the system's choice.
    setsockopt(sockets[i], IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
#endif
    fcntl(sockets[i], F_SETFL, O_NONBLOCK);
    fcntl(sockets[i], F_SETFD, FD_CLOEXEC);
  }
  return true;
}

}  // namespace

std::string makeFloorPlace(size_t slotBytes, FloorPlace& place) {
  place.slotBytes = slotBytes;
  const size_t flagBytes = 4096, bytes = flagBytes + 4 * slotBytes;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return "no shared memory of " + std::to_string(bytes) + " bytes: " + std::strerror(errno);
  place.flags = static_cast<FloorPlace::Flag*>(memory);
  place.shared = static_cast<char*>(memory) + flagBytes;
  if (!connectPair(place.sockets)) return std::string("no TCP connection over loopback: ") + std::strerror(errno);
  return "";
}

void closeFloorPlace(FloorPlace& place) {
  if (place.flags != nullptr) munmap(place.flags, 4096 + 4 * place.slotBytes);
  for (const int socket : place.sockets) {
    if (socket >= 0) close(socket);
  }
  place = FloorPlace{};
}

std::unique_ptr<Library> openFloor(const Seat& seat, const FloorPlace& place) {
  return std::make_unique<FloorLibrary>(seat, place);
}

double probeUs(Library& floor) {
  constexpr size_t kBytes = 65'536, kTimes = 100;
  static std::vector<char> in(kBytes), out(kBytes);
  const Cell cell{.bytes = kBytes};
  std::vector<double> times(kTimes);
  for (double& time : times) {
    const double began = nowUs();
    if (!floor.run(cell, in.data(), out.data()).ok()) return 0;
    time = nowUs() - began;
  }
  std::nth_element(times.begin(), times.begin() + kTimes / 2, times.end());
  return times[kTimes / 2];
}

}  // namespace espalier::perf
