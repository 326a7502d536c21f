#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "eval/prediction.h"
#include "eval/running_mean.h"

namespace carat {

/// How often KL divergences of every size came: 8 bins to a power of ten from 1e-9 to 1e2 nats, the first and the last
/// also for what lies beyond.
struct KldHistogram {
  static constexpr int kBinsPerDecade = 8;
  static constexpr double kLowest = 1e-9;
  static constexpr int kBins = 11 * kBinsPerDecade;
  std::array<uint64_t, kBins> counts{};
  void add(double kld);
};

/// How a model predicts a text, and how far it is from a reference where there is one. Standard errors take the
/// predictions as independent.
struct Comparison {
  int64_t tokens = 0;  ///< ids predicted
  Estimate perplexity;

  // Against a reference; all 0 when there is none.
  Estimate reference_perplexity;
  Estimate perplexity_ratio;  ///< perplexity / reference perplexity; its error from the paired differences
  Estimate mean_kld;          ///< of KL(reference || model), in nats
  Estimate median_kld;        ///< half of the predictions have at most this
  Estimate kld_999;           ///< 99.9 % of the predictions have at most this
  Estimate top1_agreement;    ///< part of the predictions where both find the same id most likely
  Estimate top5_agreement;    ///< mean part of the reference's five most likely ids that are among the model's five
  Estimate rms_delta_p;       ///< root of the mean squared change of the right id's probability
  KldHistogram histogram;
};

/// Collects predictions; the figures come at the end.
class ComparisonTally {
 public:
  /// Either all predictions have a distance from a reference or none.
  void add(const Prediction& prediction);

  /// A quantile q of n values is the smallest that at least q n of them do not exceed: that of rank ceil(q n). Its
  /// standard error is half the distance of the values sqrt(n q (1 - q)) ranks below and above (order statistics, as
  /// far as there are any); those of ratios and roots come from the delta method.
  Comparison finish() const;

 private:
  RunningMean losses_;
  RunningMean reference_losses_;
  RunningMean loss_differences_;
  RunningMean klds_;
  RunningMean top1_;
  RunningMean top5_;
  RunningMean squared_delta_p_;
  std::vector<double> all_klds_;
  KldHistogram histogram_;
};

}  // namespace carat
