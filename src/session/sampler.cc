#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/check.h"

namespace carat {
namespace {

double uniform_double(Random& random) {
  const uint64_t high = random.next() >> 5;
  const uint64_t low = random.next() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

}  // namespace

Status validate(const SamplingOptions& options) {
  if (!std::isfinite(options.temperature) || options.temperature < 0.0f) {
    return wrong_usage("temperature: expected 0 or more, found " + std::to_string(options.temperature));
  }
  if (options.top_k < 0) {
    return wrong_usage("top_k: expected 0 (all tokens) or more, found " + std::to_string(options.top_k));
  }
  if (!(options.top_p > 0.0f && options.top_p <= 1.0f)) {
    return wrong_usage("top_p: expected more than 0 and at most 1, found " + std::to_string(options.top_p));
  }
  return success();
}

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {
  CARAT_CHECK(validate(options).ok(), "sampling options are valid");
}

int32_t Sampler::pick(std::span<const float> logits) {
  CARAT_CHECK(!logits.empty(), "logits to pick from");
  if (options_.temperature == 0.0f) return most_likely(logits);
  keep_top_k(logits);
  compute_weights();
  keep_top_p();
  return draw();
}

void Sampler::keep_top_k(std::span<const float> logits) {
  candidates_.clear();
  for (size_t id = 0; id < logits.size(); ++id) candidates_.push_back({static_cast<int32_t>(id), logits[id], 0.0});
  const auto k = static_cast<size_t>(options_.top_k);
  if (k == 0 || k >= candidates_.size()) return;
  std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<int64_t>(k), candidates_.end(), more_likely);
  candidates_.resize(k);
}

void Sampler::compute_weights() {
  float largest = candidates_.front().logit;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  total_ = 0.0;
  for (Candidate& candidate : candidates_) {
    const double distance = static_cast<double>(candidate.logit) - static_cast<double>(largest);
    candidate.weight = std::exp(distance / static_cast<double>(options_.temperature));
    total_ += candidate.weight;
  }
}

void Sampler::keep_top_p() {
  if (options_.top_p == 1.0f) return;
  std::sort(candidates_.begin(), candidates_.end(), more_likely);
  const double wanted = static_cast<double>(options_.top_p) * total_;
  double sum = 0.0;
  size_t kept = 0;
  while (kept < candidates_.size() && sum < wanted) sum += candidates_[kept++].weight;
  candidates_.resize(kept);
  total_ = sum;
}

int32_t Sampler::draw() {
  double left = uniform_double(random_) * total_;
  for (const Candidate& candidate : candidates_) {
    left -= candidate.weight;
    if (left < 0.0) return candidate.id;
  }
  // Rounding can leave a trace of `left` after the last candidate.
  return candidates_.back().id;
}

bool Sampler::more_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

}  // namespace carat
