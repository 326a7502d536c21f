#include "eval/comparison.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/check.h"

namespace carat {
namespace {

/// exp of a mean of logarithms.
Estimate exponent_of(const RunningMean& logarithms) {
  const double value = std::exp(logarithms.mean());
  return {value, value * logarithms.standard_error()};
}

Estimate root_of(const RunningMean& squares) {
  const double root = std::sqrt(squares.mean());
  return {root, root > 0 ? squares.standard_error() / (2 * root) : 0.0};
}

Estimate quantile(std::span<const double> sorted, double q) {
  const auto n = static_cast<double>(sorted.size());
  const double rank = std::ceil(q * n);
  const double ranks = std::sqrt(n * q * (1 - q));
  const auto at = [&](double wanted) { return sorted[static_cast<size_t>(std::clamp(wanted, 1.0, n)) - 1]; };
  return {at(rank), (at(std::ceil(rank + ranks)) - at(std::floor(rank - ranks))) / 2};
}

}  // namespace

void KldHistogram::add(double kld) {
  const double bin = kld > kLowest ? std::floor(kBinsPerDecade * std::log10(kld / kLowest)) : 0.0;
  ++counts[static_cast<size_t>(std::min(bin, kBins - 1.0))];
}

void ComparisonTally::add(const Prediction& prediction) {
  losses_.add(prediction.loss);
  if (!prediction.distance) return;
  const ReferenceDistance& distance = *prediction.distance;
  reference_losses_.add(distance.reference_loss);
  loss_differences_.add(prediction.loss - distance.reference_loss);
  klds_.add(distance.kld);
  top1_.add(distance.top1);
  top5_.add(distance.top5);
  squared_delta_p_.add(distance.delta_p * distance.delta_p);
  all_klds_.push_back(distance.kld);
  histogram_.add(distance.kld);
}

Comparison ComparisonTally::finish() const {
  Comparison figures;
  figures.tokens = losses_.count();
  figures.perplexity = exponent_of(losses_);
  if (all_klds_.empty()) return figures;
  CARAT_CHECK(klds_.count() == losses_.count(), "a reference for all predictions or for none");
  std::vector<double> sorted = all_klds_;
  std::ranges::sort(sorted);
  figures.reference_perplexity = exponent_of(reference_losses_);
  figures.perplexity_ratio = exponent_of(loss_differences_);
  figures.mean_kld = klds_.estimate();
  figures.median_kld = quantile(sorted, 0.5);
  figures.kld_999 = quantile(sorted, 0.999);
  figures.top1_agreement = top1_.estimate();
  figures.top5_agreement = top5_.estimate();
  figures.rms_delta_p = root_of(squared_delta_p_);
  figures.histogram = histogram_;
  return figures;
}

}  // namespace carat
