#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/result.h"
#include "model/model.h"
#include "session/sampler.h"

namespace carat {

struct SessionOptions {
  int64_t context = 0;  ///< most positions; 0 takes the model's own, and no more than that is accepted
  SamplingOptions sampling;
};

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
  /// Refuses invalid sampling options and a context beyond the model's.
  static Result<Session> create(Model& model, const SessionOptions& options);

  /// Appends `ids`. Refuses, before anything is fed, an empty prompt, ids outside the vocabulary, and more than
  /// the context can hold. Fails when the logits are not finite and names the damaged tensor.
  Status prefill(std::span<const int32_t> ids);

  /// Picks the next id. It becomes part of the conversation: it is fed before anything that follows it. Needs a
  /// prompt before, and a context that is not full.
  Result<int32_t> next();

  /// Positions fed so far; the id that `next` gave last is not among them yet.
  int64_t position() const { return cache_.size(); }
  int64_t context() const { return cache_.limit(); }

  /// Whether there is no position left for the id that `next` gave last.
  bool full() const { return pending_.has_value() && position() == context(); }

  /// From now on every position fed gives its logits to `sink`. Slower: no layer can be skipped.
  void set_logits_sink(LogitsSink sink) { sink_ = std::move(sink); }

  /// Bytes of keys and values held now.
  uint64_t cache_bytes() const { return cache_.bytes(); }

 private:
  Session(Model& model, int64_t context, const SamplingOptions& sampling);

  Status feed_pending();
  Status feed(std::span<const int32_t> ids);
  Status feed_to_sink(std::span<const int32_t> ids);

  Model* model_;
  KvCache cache_;
  Sampler sampler_;
  LogitsSink sink_;
  std::span<const float> logits_;   // after the last position fed; lies in the model
  std::optional<int32_t> pending_;  // picked by `next`, not fed yet
};

}  // namespace carat
