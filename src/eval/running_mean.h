#pragma once

#include <cstdint>

namespace carat {

/// A figure with its standard error.
struct Estimate {
  double value = 0;
  double standard_error = 0;
};

/// Mean and standard error of a stream of values (Welford's recurrence), in double.
class RunningMean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  /// Standard deviation over the square root of the count; 0 below two values.
  double standard_error() const;
  Estimate estimate() const { return {mean(), standard_error()}; }

 private:
  int64_t count_ = 0;
  double mean_ = 0.0;
  double squares_ = 0.0;  // sum of squared distances from the mean
};

}  // namespace carat
