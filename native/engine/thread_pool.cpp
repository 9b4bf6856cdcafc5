#include "engine/thread_pool.h"

#include <algorithm>

#include "transport/relax.h"

namespace espalier::engine {
namespace {

// Some tens of microseconds: longer than the gap between two loops of a layer, shorter than a wake-up is worth.
constexpr int kSpins = 4000;
// The caller's wait for stragglers: after this it lets another thread have the core.
constexpr int kSpinsBeforeYield = 1000;
// Instead of an index, while the next loop is written.
constexpr uint32_t kClosed = 0xFFFFFFFF;

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

void ThreadPool::runShared(Work work, int count, int grain) {
  const uint64_t loop = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  const auto all = static_cast<uint32_t>(count);
  // The release stores below come after this one for whoever acquires them: a worker that sees anything of the new
  // loop together with a ticket of the old one finds the ticket void.
  ticket_.store(loop << 32 | kClosed, std::memory_order_relaxed);
  work_.store(&work, std::memory_order_release);
  count_.store(all, std::memory_order_release);
  grain_.store(static_cast<uint32_t>(std::max(grain, 1)), std::memory_order_release);
  done_.store(0, std::memory_order_relaxed);
  ticket_.store(loop << 32, std::memory_order_release);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  takeChunks(0);
  for (int spins = 0; done_.load(std::memory_order_acquire) < all; spins++) {
    if (spins < kSpinsBeforeYield) transport::relax();
    else std::this_thread::yield();
  }
}

void ThreadPool::takeChunks(int thread) {
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  for (;;) {
    const Work* work = work_.load(std::memory_order_acquire);
    const uint32_t count = count_.load(std::memory_order_acquire), grain = grain_.load(std::memory_order_acquire);
    const auto begin = static_cast<uint32_t>(ticket);
    if (begin >= count) return;
    const uint32_t end = std::min(begin + grain, count);
    const uint64_t taken = ticket - begin + end;
    if (!ticket_.compare_exchange_weak(ticket, taken, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    // Only now is `work` known to be that of this loop, which cannot end before this chunk is done.
    work->call(work->body, static_cast<int>(begin), static_cast<int>(end), thread);
    done_.fetch_add(end - begin, std::memory_order_release);
    ticket = taken;
  }
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t round = round_.load(std::memory_order_acquire);
    for (int spins = 0; round == seen && spins < kSpins; spins++) {
      transport::relax();
      round = round_.load(std::memory_order_acquire);
    }
    if (round == seen) {
      round_.wait(seen, std::memory_order_acquire);
      continue;
    }
    seen = round;
    if (stopping_.load(std::memory_order_relaxed)) return;
    takeChunks(thread);
  }
}

}  // namespace espalier::engine
