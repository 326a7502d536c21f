#pragma once

#include <cstdint>
#include <span>

namespace carat {

/// The logarithms of softmax(logits), in double, computed when asked for. A view: the logits (finite, not empty)
/// stay with their owner.
class LogProbabilities {
 public:
  explicit LogProbabilities(std::span<const float> logits);

  size_t size() const { return logits_.size(); }
  double operator[](size_t id) const { return static_cast<double>(logits_[id]) - log_sum_exp_; }

 private:
  std::span<const float> logits_;
  double log_sum_exp_;
};

/// KL(reference || model) in nats; exactly 0 for equal logits.
double forward_kld(const LogProbabilities& reference, const LogProbabilities& model);

/// Mean and standard error of a stream of values (Welford's recurrence), in double.
class RunningMean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double mean() const { return mean_; }
  /// Standard deviation over the square root of the count; 0 below two values.
  double standard_error() const;

 private:
  int64_t count_ = 0;
  double mean_ = 0.0;
  double squares_ = 0.0;  // sum of squared distances from the mean
};

}  // namespace carat
