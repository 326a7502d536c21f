#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace carat {

/// A progress line on standard error: steps done, rate, what the caller adds, time left.
///
///     qat: 120 of 300 steps, 1.52 steps/s, loss 0.213, 1 min 58 s left
///
/// On a terminal it is one line that is written over; elsewhere a plain line every few seconds. Work that takes
/// less than a second shows none.
class Progress {
 public:
  /// Starts the clock. `first` is where the count begins, when earlier steps were done before.
  Progress(std::string label, std::string unit, int64_t total, int64_t first = 0);

  /// Takes the line away from a terminal.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Call it as often as you like: it shows the line only when it is due.
  void update(int64_t done, const std::string& detail = {});

 private:
  using Clock = std::chrono::steady_clock;

  std::string line(int64_t done, const std::string& detail, double elapsed) const;

  std::string label_;
  std::string unit_;
  int64_t total_;
  int64_t first_;
  bool terminal_;
  Clock::time_point start_;
  Clock::time_point due_;
  bool shown_ = false;
};

}  // namespace carat
