#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace espalier::engine {

/// Runs loops on `threads` threads, the caller's included; 1 runs everything inline. Workers spin for some
/// microseconds after a loop, since the next follows closely while a model runs, and then sleep. A loop waits for
/// no worker that has not begun a chunk of it: one that has lost its core to another process holds up nobody.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls body(begin, end, thread) for chunks of at most `grain` that cover [0, count); returns when all
  /// are done. Which thread takes which chunk is not fixed. The body must not throw.
  template <typename Body>
  void run(int count, int grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    if (workers_.empty() || count <= grain) {
      if (count > 0) body(0, count, 0);
      return;
    }
    runShared(
        {.body = const_cast<void*>(static_cast<const void*>(&body)),
         .call = [](void* context, int begin, int end,
                    int thread) { (*static_cast<Plain*>(context))(begin, end, thread); }},
        count, grain);
  }

 private:
  struct Work {
    void* body = nullptr;
    void (*call)(void*, int, int, int) = nullptr;
  };
  void runShared(Work work, int count, int grain);
  void work(int thread);
  void takeChunks(int thread);

  std::vector<std::thread> workers_;
  std::atomic<uint32_t> round_{0};  // changes when a loop starts or the pool ends
  std::atomic<bool> stopping_{false};
  // The loop. A late worker may read these while the next loop is written: then it cannot take a chunk.
  std::atomic<Work*> work_{nullptr};
  std::atomic<uint32_t> count_{0};
  std::atomic<uint32_t> grain_{1};
  /// Number of the loop in the upper half, first index not taken yet in the lower: a chunk is taken by moving the
  /// latter, which fails when either has changed.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> done_{0};  // indices whose calls have returned
};

}  // namespace espalier::engine
