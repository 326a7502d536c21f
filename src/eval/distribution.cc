#include "eval/distribution.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace carat {

LogProbabilities::LogProbabilities(std::span<const float> logits) : logits_(logits) {
  CARAT_CHECK(!logits.empty(), "a distribution has an outcome");
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  log_sum_exp_ = largest + std::log(sum);
}

double forward_kld(const LogProbabilities& reference, const LogProbabilities& model) {
  CARAT_CHECK(reference.size() == model.size(), "distributions over the same tokens");
  double sum = 0.0;
  for (size_t id = 0; id < reference.size(); ++id) {
    const double log_p = reference[id];
    sum += std::exp(log_p) * (log_p - model[id]);
  }
  return sum;
}

void RunningMean::add(double value) {
  ++count_;
  const double distance = value - mean_;
  mean_ += distance / static_cast<double>(count_);
  squares_ += distance * (value - mean_);
}

double RunningMean::standard_error() const {
  if (count_ < 2) return 0.0;
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1.0) / n);
}

}  // namespace carat
