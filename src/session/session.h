#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "session/sampler.h"

namespace carat {

struct SessionOptions {
  int64_t context = 0;              ///< most positions; 0 takes the model's own, and no more than that is accepted
  std::optional<DType> cache_type;  ///< how keys and values are kept; none is the model's own, `Model::cache_options`
  SamplingOptions sampling;
};

/// Refuses a context that is negative or beyond the model's; 0 stands for the model's own.
Status check_context(const ModelConfig& config, int64_t context);

/// Takes the logits [V] after one position, in order of positions. An error ends the call that feeds.
using LogitsSink = std::function<Status(std::span<const float> logits)>;

/// One conversation with a model: the positions seen so far and the sampler.
///
///     CARAT_TRY(Session session, Session::create(model, {.context = 4096}));
///     CARAT_TRY_STATUS(session.prefill(prompt));
///     CARAT_TRY(int32_t id, session.next());   // and again
///
/// The model outlives the session and serves one session at a time.
class Session {
 public:
  /// Refuses invalid sampling options, a context beyond the model's, and a cache type that does not fit its heads.
  static Result<Session> create(Model& model, const SessionOptions& options);

  /// Appends `ids`. Refuses, before anything is fed, an empty prompt, ids outside the vocabulary, and more than
  /// the context can hold. Fails when the logits are not finite and names the damaged tensor; it then appends nothing.
  Status prefill(std::span<const int32_t> ids);

  /// What `prefill` refuses before anything is fed, for a prompt that is to be fed in parts.
  Status check_prompt(std::span<const int32_t> ids) const;

  /// Picks the next id. It becomes part of the conversation: it is fed before anything that follows it. Needs a
  /// prompt before, and a context that is not full. Allocates only where the cache grows.
  Result<int32_t> next();

  /// Forgets the positions from `position` on, and an id that was picked and not fed; 0 to position(). Returns how many
  /// of the kept positions have to be fed again because sliding layers have dropped what they need: 0, or all of them.
  /// The next call that feeds does that, and all is then as if nothing else had ever been fed; only the sampler's
  /// random numbers go on. `next` right after it feeds the last position again at least.
  int64_t rewind(int64_t position);

  /// Ids fed so far, by position; the id that `next` gave last is not among them yet.
  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t position() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t context() const { return cache_.limit(); }

  /// Whether there is no position left for the id that `next` gave last.
  bool full() const { return pending_.has_value() && position() == context(); }

  /// From now on every position that is new gives its logits to `sink`. Slower: no layer can be skipped.
  void set_logits_sink(LogitsSink sink) { sink_ = std::move(sink); }

  /// How keys and values are kept.
  const CacheOptions& cache_options() const { return cache_.options(); }
  /// Bytes of keys and values held now.
  uint64_t cache_bytes() const { return cache_.bytes(); }

 private:
  Session(Model& model, int64_t context, const CacheOptions& kept, Sampler sampler);

  Status feed_pending();
  Status feed(std::span<const int32_t> ids);
  Status feed_after(int64_t old);
  Status feed_up_to(int64_t position);
  Status feed_to_sink();
  void rewind_cache(int64_t position);

  Model* model_;
  KvCache cache_;  // of the first tokens; fewer than all of them after a rewind beyond its reach
  Sampler sampler_;
  LogitsSink sink_;
  std::vector<int32_t> tokens_;
  std::span<const float> logits_;   // after the last token; lies in the model; empty when they have to be made again
  std::optional<int32_t> pending_;  // picked by `next`, not fed yet
};

}  // namespace carat
