#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace carat {

/// Added to the logit of one id. Minus infinity bans the id.
struct LogitBias {
  int32_t id = 0;
  float value = 0.0f;
};

/// How the next token is picked. What is left at its default changes nothing.
struct SamplingOptions {
  float temperature = 0.0f;         ///< 0 picks the most likely token; otherwise logits are divided by it
  int32_t top_k = 0;                ///< keeps the k most likely tokens; 0 keeps all
  float top_p = 1.0f;               ///< keeps the fewest most likely tokens whose probabilities sum to at least this
  float min_p = 0.0f;               ///< keeps tokens at least this part as likely as the most likely one
  float repetition_penalty = 1.0f;  ///< divides positive and multiplies negative logits of ids in the window
  float presence_penalty = 0.0f;    ///< subtracted from the logits of ids in the window
  float frequency_penalty = 0.0f;   ///< subtracted once for each time that an id is in the window
  int32_t penalty_window = 64;      ///< the penalties look at this many of the last ids; 0 at none, -1 at all
  std::vector<LogitBias> logit_bias = {};  ///< values for the same id add up
  uint64_t seed = 0;                       ///< the same seed and the same logits give the same tokens
};

inline constexpr int32_t kLargestPenaltyWindow = 1 << 20;

/// Refuses, by its name and with its range, an option that is out of range or not a number.
Status validate(const SamplingOptions& options);

/// Picks tokens from logits, in this order:
///
///     bans and biases, repetition penalty, frequency and presence penalty      (of the logits)
///     temperature, top-k, softmax, top-p, min-p                                (each of what the one before left)
///     one draw
///
/// With temperature 0 the most likely token after the penalties is taken. Among equal logits the lower id counts as the
/// more likely one, so that every step is deterministic. The penalties see the ids that were accepted: those of the
/// prompt and those that were generated. See docs/sampling.md.
class Sampler {
 public:
  /// For logits of `vocabulary` ids. Ids of `suppressed` are of the vocabulary and never picked. Refuses what
  /// `validate` refuses and a bias for an id outside the vocabulary.
  static Result<Sampler> create(const SamplingOptions& options, int32_t vocabulary,
                                std::span<const int32_t> suppressed);

  /// `logits` [V] are finite. Fails when nothing is left to pick. Does not add to the ids that were accepted, and does
  /// not allocate.
  Result<int32_t> pick(std::span<const float> logits);

  /// Most bytes that a sampler allocates for so many ids, whatever its options, but for the window of a penalty.
  static uint64_t most_bytes(int64_t vocabulary);

  /// Tells that `id` has become part of the conversation. Does not allocate.
  void accept(int32_t id);

  /// Takes back all that was accepted. The random numbers go on.
  void forget();

 private:
  struct Candidate {
    int32_t id;
    float logit;
    double weight;  // probability times `total_`
  };

  Sampler(const SamplingOptions& options, int32_t vocabulary);

  bool looks_back() const;
  std::span<const float> adjusted(std::span<const float> logits);
  float penalized(float logit, int32_t count) const;
  void keep_top_k(std::span<const float> logits);
  void compute_weights();
  void keep_top_p();
  void keep_min_p();
  int32_t draw();
  static bool more_likely(const Candidate& a, const Candidate& b);

  SamplingOptions options_;
  Random random_;
  std::vector<float> bias_;            // [V], minus infinity for what is never picked; empty when there is none
  std::vector<int32_t> counts_;        // [V], how often an id is in the window; empty when no penalty is on
  std::vector<int32_t> window_;        // ring of the last ids; empty when the window is everything
  size_t accepted_ = 0;                // ids accepted since the last `forget`
  std::vector<float> adjusted_;        // [V]
  std::vector<Candidate> candidates_;  // room for [V]
  double total_ = 0.0;                 // sum of the candidates' weights
};

/// The id of the largest logit, the lowest one among equals.
int32_t most_likely(std::span<const float> logits);

}  // namespace carat
