#include "engine/thread_pool.h"

#include <algorithm>

namespace espalier::engine {
namespace {

// Some tens of microseconds: longer than the gap between two loops of a layer, shorter than a wake-up is worth.
constexpr int kSpins = 4000;
// The caller's wait for stragglers: after this it lets another thread have the core.
constexpr int kSpinsBeforeYield = 1000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  for (int thread = 1; thread < threads; thread++) workers_.emplace_back([this, thread] { work(thread); });
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::start(int count, int grain) {
  count_ = count;
  grain_ = std::max(grain, 1);
  next_.store(0, std::memory_order_relaxed);
  running_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  takeChunks(0);
  for (int spins = 0; running_.load(std::memory_order_acquire) > 0; spins++) {
    if (spins < kSpinsBeforeYield) relax();
    else std::this_thread::yield();
  }
}

void ThreadPool::takeChunks(int thread) {
  for (;;) {
    const int begin = next_.fetch_add(grain_, std::memory_order_relaxed);
    if (begin >= count_) return;
    call_(body_, begin, std::min(begin + grain_, count_), thread);
  }
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t round = round_.load(std::memory_order_acquire);
    for (int spins = 0; round == seen && spins < kSpins; spins++) {
      relax();
      round = round_.load(std::memory_order_acquire);
    }
    if (round == seen) {
      round_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = round;
    if (stopping_.load(std::memory_order_relaxed)) return;
    takeChunks(thread);
    running_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace espalier::engine
