#include "bench/perf/board.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace espalier::perf {

Board* openBoard(const std::string& folder) {
  const int file = open((folder + "/board").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (ftruncate(file, sizeof(Board)) == 0) {
    memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  close(file);
  // A new file is all zeros, which is the state that every member starts from.
  return memory == MAP_FAILED ? nullptr : static_cast<Board*>(memory);
}

Meeting meet(Board& board, int crew, int rank, int ranks, uint32_t turn) {
  Board::Mark* arrived = board.crews[crew].arrived;
  arrived[rank].value.store(turn, std::memory_order_release);
  for (int peer = 0; peer < ranks; ++peer) {
    for (uint32_t spins = 1; static_cast<int32_t>(arrived[peer].value.load(std::memory_order_acquire) - turn) < 0;
         ++spins) {
      if (spins % 1024 == 0 && board.crews[crew].stop.load(std::memory_order_relaxed) != 0) return Meeting::Ended;
    }
  }
  return Meeting::Met;
}

bool pinTo(int rank, int ranks) {
  if (ranks > static_cast<int>(std::thread::hardware_concurrency())) return false;
#ifdef __linux__
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(rank, &cores);
  sched_setaffinity(0, sizeof cores, &cores);
#endif
  return true;
}

double nowUs() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace espalier::perf
