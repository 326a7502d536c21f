#include "base/bandwidth.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kLane = 64;  // a cache line
constexpr int64_t kGrain = 1 << 14;

/// Enough sums side by side that the processor waits for memory alone.
uint64_t sum_of(const std::byte* bytes, int64_t lanes) {
  std::array<uint64_t, kLane / sizeof(uint64_t)> sums{};
  for (int64_t lane = 0; lane < lanes; ++lane) {
    std::array<uint64_t, kLane / sizeof(uint64_t)> values;
    std::memcpy(values.data(), bytes + lane * kLane, kLane);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += values[i];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

double read_bandwidth(ThreadPool& threads, uint64_t buffer, double seconds) {
  const auto lanes = static_cast<int64_t>(buffer / kLane);
  const auto bytes = static_cast<size_t>(lanes) * kLane;
  const std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[bytes]);
  if (memory == nullptr || lanes == 0) return 0;
  threads.parallel_for(lanes, kGrain, [&](int64_t begin, int64_t end) {
    std::memset(memory.get() + begin * kLane, 1, static_cast<size_t>((end - begin) * kLane));
  });
  // The sums are kept, so that no pass can be left out.
  std::atomic<uint64_t> kept{0};
  double fastest = 0;
  const Clock::time_point start = Clock::now();
  do {
    const Clock::time_point pass = Clock::now();
    threads.parallel_for(lanes, kGrain, [&](int64_t begin, int64_t end) {
      kept.fetch_add(sum_of(memory.get() + begin * kLane, end - begin), std::memory_order_relaxed);
    });
    fastest = std::max(fastest, static_cast<double>(bytes) / seconds_since(pass));
  } while (seconds_since(start) < seconds);
  return kept.load() == 0 ? 0 : fastest;
}

uint64_t bandwidth_buffer(uint64_t available) {
  constexpr uint64_t kLeast = uint64_t{64} << 20;
  constexpr uint64_t kMost = uint64_t{512} << 20;
  const auto cache = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_LEVEL3_CACHE_SIZE)));
  return std::min(std::clamp(4 * cache, kLeast, kMost), available / 4);
}

}  // namespace carat
