#include "session/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr float kBanned = -std::numeric_limits<float>::infinity();
constexpr float kLargestPenalty = 2.0f;  // of presence and frequency, as in OpenAI's interface
constexpr float kLargestRepetitionPenalty = 100.0f;
constexpr float kLargestBias = 1e4f;

double uniform_double(Random& random) {
  const uint64_t high = random.next() >> 5;
  const uint64_t low = random.next() >> 6;
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

/// Keeps sums of extreme logits finite, so that only a ban is infinite.
float finite_float(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  return static_cast<float>(std::clamp(value, -kLargest, kLargest));
}

Status check(bool holds, const char* name, const char* expected, double found) {
  if (holds) return success();
  return wrong_usage(std::string(name) + ": expected " + expected + ", found " + number_text(found));
}

Status check_penalty(const char* name, float value) {
  return check(value >= -kLargestPenalty && value <= kLargestPenalty, name, "-2 to 2", static_cast<double>(value));
}

Status check_bias(const LogitBias& bias) {
  if (bias.value == kBanned || std::abs(bias.value) <= kLargestBias) return success();
  return wrong_usage("logit_bias: id " + std::to_string(bias.id) +
                     ": expected -10000 to 10000, or -inf to ban it, found " + number_text(bias.value));
}

}  // namespace

Status validate(const SamplingOptions& options) {
  const float t = options.temperature, p = options.top_p, m = options.min_p, r = options.repetition_penalty;
  CARAT_TRY_STATUS(check(std::isfinite(t) && t >= 0.0f, "temperature", "0 or more", static_cast<double>(t)));
  CARAT_TRY_STATUS(check(options.top_k >= 0, "top_k", "0 (all tokens) or more", options.top_k));
  CARAT_TRY_STATUS(check(p > 0.0f && p <= 1.0f, "top_p", "more than 0 and at most 1", static_cast<double>(p)));
  CARAT_TRY_STATUS(check(m >= 0.0f && m <= 1.0f, "min_p", "0 to 1", static_cast<double>(m)));
  CARAT_TRY_STATUS(check(r > 0.0f && r <= kLargestRepetitionPenalty, "repetition_penalty",
                         "more than 0 and at most 100", static_cast<double>(r)));
  CARAT_TRY_STATUS(check_penalty("presence_penalty", options.presence_penalty));
  CARAT_TRY_STATUS(check_penalty("frequency_penalty", options.frequency_penalty));
  CARAT_TRY_STATUS(check(options.penalty_window >= -1 && options.penalty_window <= kLargestPenaltyWindow,
                         "penalty_window", "-1 (all ids) to 1048576", options.penalty_window));
  for (const LogitBias& bias : options.logit_bias) CARAT_TRY_STATUS(check_bias(bias));
  return success();
}

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Result<Sampler> Sampler::create(const SamplingOptions& options, int32_t vocabulary,
                                std::span<const int32_t> suppressed) {
  CARAT_CHECK(vocabulary > 0, "logits to pick from");
  CARAT_TRY_STATUS(validate(options));
  Sampler sampler(options, vocabulary);
  if (!options.logit_bias.empty() || !suppressed.empty()) sampler.bias_.assign(static_cast<size_t>(vocabulary), 0.0f);
  for (const LogitBias& bias : options.logit_bias) {
    if (bias.id < 0 || bias.id >= vocabulary) {
      return wrong_usage("logit_bias: expected ids from 0 to " + std::to_string(vocabulary - 1) + ", found " +
                         std::to_string(bias.id));
    }
    sampler.bias_[static_cast<size_t>(bias.id)] += bias.value;
  }
  for (const int32_t id : suppressed) {
    CARAT_CHECK(id >= 0 && id < vocabulary, "suppressed ids are of the vocabulary");
    sampler.bias_[static_cast<size_t>(id)] = kBanned;
  }
  return sampler;
}

Sampler::Sampler(const SamplingOptions& options, int32_t vocabulary) : options_(options), random_(options.seed) {
  const auto V = static_cast<size_t>(vocabulary);
  if (looks_back()) {
    counts_.resize(V);
    window_.resize(static_cast<size_t>(std::max(options.penalty_window, 0)));
  }
  adjusted_.resize(V);
  candidates_.reserve(V);
}

uint64_t Sampler::most_bytes(int64_t vocabulary) {
  constexpr uint64_t kForAnId = sizeof(bias_[0]) + sizeof(counts_[0]) + sizeof(adjusted_[0]) + sizeof(Candidate);
  return static_cast<uint64_t>(vocabulary) * kForAnId;
}

bool Sampler::looks_back() const {
  const bool penalizes =
      options_.repetition_penalty != 1.0f || options_.presence_penalty != 0.0f || options_.frequency_penalty != 0.0f;
  return penalizes && options_.penalty_window != 0;
}

void Sampler::accept(int32_t id) {
  if (counts_.empty()) return;
  ++counts_[static_cast<size_t>(id)];
  if (window_.empty()) return;
  int32_t& slot = window_[accepted_ % window_.size()];
  if (accepted_ >= window_.size()) --counts_[static_cast<size_t>(slot)];
  slot = id;
  ++accepted_;
}

void Sampler::forget() {
  std::fill(counts_.begin(), counts_.end(), 0);
  accepted_ = 0;
}

Result<int32_t> Sampler::pick(std::span<const float> logits) {
  CARAT_CHECK(logits.size() == adjusted_.size(), "a logit for each id");
  const std::span<const float> judged = adjusted(logits);
  const int32_t best = most_likely(judged);
  if (judged[static_cast<size_t>(best)] == kBanned) {
    return failed(
        "every id of the vocabulary is banned, by a logit bias or by the model's own list of suppressed ids; "
        "expected at least one that may be generated");
  }
  if (options_.temperature == 0.0f) return best;
  keep_top_k(judged);
  compute_weights();
  keep_top_p();
  keep_min_p();
  return draw();
}

std::span<const float> Sampler::adjusted(std::span<const float> logits) {
  if (bias_.empty() && counts_.empty()) return logits;
  std::copy(logits.begin(), logits.end(), adjusted_.begin());
  for (size_t id = 0; id < bias_.size(); ++id) {
    const bool banned = bias_[id] == kBanned;
    adjusted_[id] =
        banned ? kBanned : finite_float(static_cast<double>(adjusted_[id]) + static_cast<double>(bias_[id]));
  }
  for (size_t id = 0; id < counts_.size(); ++id) {
    if (counts_[id] > 0 && adjusted_[id] != kBanned) adjusted_[id] = penalized(adjusted_[id], counts_[id]);
  }
  return adjusted_;
}

float Sampler::penalized(float logit, int32_t count) const {
  const auto repetition = static_cast<double>(options_.repetition_penalty);
  const double whole = static_cast<double>(logit);
  const double repeated = whole > 0.0 ? whole / repetition : whole * repetition;
  return finite_float(repeated - count * static_cast<double>(options_.frequency_penalty) -
                      static_cast<double>(options_.presence_penalty));
}

void Sampler::keep_top_k(std::span<const float> logits) {
  candidates_.clear();
  const size_t most = options_.top_k == 0 ? SIZE_MAX : static_cast<size_t>(options_.top_k);
  for (size_t id = 0; id < logits.size(); ++id) {
    if (logits[id] == kBanned) continue;
    const Candidate candidate = {static_cast<int32_t>(id), logits[id], 0.0};
    if (candidates_.size() < most) {
      candidates_.push_back(candidate);
      if (candidates_.size() == most) std::make_heap(candidates_.begin(), candidates_.end(), more_likely);
    } else if (more_likely(candidate, candidates_.front())) {
      // The front of this heap is the least likely of those kept.
      std::pop_heap(candidates_.begin(), candidates_.end(), more_likely);
      candidates_.back() = candidate;
      std::push_heap(candidates_.begin(), candidates_.end(), more_likely);
    }
  }
  if (candidates_.size() == most) std::sort_heap(candidates_.begin(), candidates_.end(), more_likely);
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
  const double wanted = static_cast<double>(options_.top_p) * total_;
  const auto less_likely = [](const Candidate& a, const Candidate& b) { return more_likely(b, a); };
  std::make_heap(candidates_.begin(), candidates_.end(), less_likely);
  double sum = 0.0;
  auto kept = candidates_.end();
  while (kept != candidates_.begin() && sum < wanted) {
    std::pop_heap(candidates_.begin(), kept, less_likely);
    sum += (--kept)->weight;
  }
  candidates_.erase(candidates_.begin(), kept);
  total_ = sum;
}

void Sampler::keep_min_p() {
  if (options_.min_p == 0.0f) return;
  // The weight of the most likely one is 1.
  std::erase_if(candidates_, [this](const Candidate& a) { return a.weight < static_cast<double>(options_.min_p); });
  total_ = 0.0;
  for (const Candidate& candidate : candidates_) total_ += candidate.weight;
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
