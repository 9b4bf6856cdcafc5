#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace espalier::engine {

/// Runs loops on `threads` threads, the caller's included; 1 runs everything inline. Workers spin for some
/// microseconds after a loop, since the next follows closely while a model runs, and then sleep.
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
    body_ = const_cast<void*>(static_cast<const void*>(&body));
    call_ = [](void* context, int begin, int end, int thread) {
      (*static_cast<Plain*>(context))(begin, end, thread);
    };
    start(count, grain);
  }

 private:
  void start(int count, int grain);
  void work(int thread);
  void takeChunks(int thread);

  std::vector<std::thread> workers_;
  std::atomic<uint32_t> round_{0};  // changes when a loop starts or the pool ends
  std::atomic<int> next_{0};        // first index not taken yet
  std::atomic<int> running_{0};     // workers that have not finished the round
  std::atomic<bool> stopping_{false};
  int count_ = 0;
  int grain_ = 1;
  void* body_ = nullptr;
  void (*call_)(void*, int, int, int) = nullptr;
};

}  // namespace espalier::engine
