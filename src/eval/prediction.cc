#include "eval/prediction.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"

namespace carat {
namespace {

/// The ids of the largest logits, falling, of those seen so far; ids are seen in rising order.
class MostLikely {
 public:
  static constexpr size_t kMost = 5;

  void see(size_t id, float logit) {
    if (count_ == kMost && !(logit > best_[kMost - 1].logit)) return;
    size_t place = count_ < kMost ? count_++ : kMost - 1;
    for (; place > 0 && logit > best_[place - 1].logit; --place) best_[place] = best_[place - 1];
    best_[place] = {id, logit};
  }

  size_t first() const { return best_.front().id; }

  double part_shared_with(const MostLikely& other) const {
    size_t shared = 0;
    for (size_t i = 0; i < count_; ++i) {
      for (size_t j = 0; j < count_; ++j) shared += best_[i].id == other.best_[j].id ? 1 : 0;
    }
    return static_cast<double>(shared) / static_cast<double>(count_);
  }

 private:
  struct Candidate {
    size_t id;
    float logit;
  };
  std::array<Candidate, kMost> best_{};
  size_t count_ = 0;
};

double largest_of(std::span<const float> logits) { return *std::max_element(logits.begin(), logits.end()); }

Prediction judge_alone(size_t target, std::span<const float> logits) {
  const double largest = largest_of(logits);
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return {.loss = largest + std::log(sum) - logits[target], .distance = {}};
}

}  // namespace

Prediction judge_prediction(int32_t target, std::span<const float> logits, std::span<const float> reference) {
  const auto right = static_cast<size_t>(target);
  CARAT_CHECK(right < logits.size(), "the right id is one of the vocabulary");
  if (reference.empty()) return judge_alone(right, logits);
  CARAT_CHECK(reference.size() == logits.size(), "distributions over the same vocabulary");

  // With p = exp(a) / sum exp(a) and q likewise of b, KL(p || q) = sum exp(a) (a - b) / sum exp(a)
  // - log sum exp(a) + log sum exp(b): both sums and the divergence come from one pass.
  const double largest_p = largest_of(reference);
  const double largest_q = largest_of(logits);
  double sum_p = 0.0;
  double sum_q = 0.0;
  double weighted = 0.0;
  MostLikely most_p;
  MostLikely most_q;
  for (size_t id = 0; id < logits.size(); ++id) {
    const double a = reference[id] - largest_p;
    const double b = logits[id] - largest_q;
    const double p = std::exp(a);
    sum_p += p;
    sum_q += std::exp(b);
    weighted += p * (a - b);
    most_p.see(id, reference[id]);
    most_q.see(id, logits[id]);
  }
  const double log_p = reference[right] - largest_p - std::log(sum_p);
  const double log_q = logits[right] - largest_q - std::log(sum_q);
  return {.loss = -log_q,
          .distance = ReferenceDistance{.reference_loss = -log_p,
                                        .kld = std::max(0.0, weighted / sum_p - std::log(sum_p) + std::log(sum_q)),
                                        .delta_p = std::exp(log_q) - std::exp(log_p),
                                        .top1 = most_p.first() == most_q.first() ? 1.0 : 0.0,
                                        .top5 = most_p.part_shared_with(most_q)}};
}

}  // namespace carat
