#include "base/threads.h"

#include <algorithm>

#include "base/check.h"

namespace carat {
namespace {

// A decoder starts a loop every few microseconds, sleeping and waking costs more than that; but a machine shared
// with others must get its processor back soon.
constexpr int kSpins = 2000;

// Chunks a thread gets if all are equally fast: enough to level out a slow one, few enough to claim cheaply.
constexpr int64_t kChunksPerThread = 4;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

template <typename T>
void wait_while_equal(const std::atomic<T>& value, T old) {
  for (int i = 0; i < kSpins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause_briefly();
  }
  value.wait(old);
}

constexpr uint64_t first_claim(uint32_t loop_number) { return static_cast<uint64_t>(loop_number) << 32; }

}  // namespace

ThreadPool::ThreadPool(int threads) {
  CARAT_CHECK(threads >= 1, "a pool has at least the calling thread");
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { worker_loop(); });
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  ++loop_number_;
  loop_number_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(Invoke invoke, void* body, int64_t n, int64_t grain) {
  const int64_t length = std::max(grain, n / (threads() * kChunksPerThread) + 1);
  const auto chunks = static_cast<uint32_t>((n + length - 1) / length);
  const uint32_t number = loop_number_.load(std::memory_order_relaxed) + 1;
  invoke_.store(invoke, std::memory_order_relaxed);
  body_.store(body, std::memory_order_relaxed);
  n_.store(n, std::memory_order_relaxed);
  grain_.store(length, std::memory_order_relaxed);
  chunks_.store(chunks, std::memory_order_relaxed);
  unfinished_.store(chunks, std::memory_order_relaxed);
  claim_.store(first_claim(number), std::memory_order_release);
  loop_number_ = number;
  loop_number_.notify_all();

  work();
  for (uint32_t left = unfinished_.load(std::memory_order_acquire); left != 0;
       left = unfinished_.load(std::memory_order_acquire)) {
    wait_while_equal(unfinished_, left);
  }
}

void ThreadPool::work() {
  // A claim succeeds only while its loop has chunks left, so what was read after seeing the claim belongs to that
  // loop: the caller cannot have gone on to write the next one.
  uint64_t claim = claim_.load(std::memory_order_acquire);
  while (true) {
    const auto chunk = static_cast<uint32_t>(claim);
    const Invoke invoke = invoke_.load(std::memory_order_relaxed);
    void* body = body_.load(std::memory_order_relaxed);
    const int64_t n = n_.load(std::memory_order_relaxed);
    const int64_t length = grain_.load(std::memory_order_relaxed);
    if (chunk >= chunks_.load(std::memory_order_relaxed)) return;
    if (!claim_.compare_exchange_weak(claim, claim + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
    invoke(body, chunk * length, std::min(n, (chunk + 1) * length));
    if (unfinished_.fetch_sub(1) == 1) unfinished_.notify_one();
    claim = claim_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_loop() {
  uint32_t seen = 0;
  while (!stopping_) {
    wait_while_equal(loop_number_, seen);
    seen = loop_number_;
    work();
  }
}

}  // namespace carat
