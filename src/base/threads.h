#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace carat {

/// A fixed team of threads that share loops. The threads are started once; a loop allocates nothing.
///
/// One thread at a time may call `parallel_for`, and a loop's body does not start another loop on the same pool.
class ThreadPool {
 public:
  /// `threads` counts the calling thread too, so 1 starts none.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `body(begin, end)` for ranges that together cover [0, n), each at most once and in no order, and
  /// returns when all are done. `grain` is the least length worth handing to another thread.
  ///
  /// How the ranges fall is not fixed: results do not depend on it as long as each output is computed whole
  /// by one call. With one thread, or n <= grain, there is one call, body(0, n).
  template <typename Body>
  void parallel_for(int64_t n, int64_t grain, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    if (n <= 0) return;
    if (workers_.empty() || n <= grain) return body(int64_t{0}, n);
    run([](void* plain, int64_t begin, int64_t end) { (*static_cast<Plain*>(plain))(begin, end); },
        const_cast<void*>(static_cast<const void*>(&body)), n, grain);
  }

 private:
  using Invoke = void (*)(void* body, int64_t begin, int64_t end);

  void run(Invoke invoke, void* body, int64_t n, int64_t grain);
  void work();
  void worker_loop();

  // The loop in progress. Atomics, because a thread that comes late may still read them while the next loop is
  // written; it then fails to claim a chunk and drops what it read (see `work`).
  std::atomic<Invoke> invoke_{nullptr};
  std::atomic<void*> body_{nullptr};
  std::atomic<int64_t> n_{0};
  std::atomic<int64_t> grain_{1};
  std::atomic<uint32_t> chunks_{0};

  std::atomic<uint64_t> claim_{0};        // number of the loop (high half), next chunk to hand out (low half)
  std::atomic<uint32_t> unfinished_{0};   // chunks of this loop that are not done
  std::atomic<uint32_t> loop_number_{0};  // what idle threads wait on
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace carat
