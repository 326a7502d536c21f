#include "session/session.h"

#include <algorithm>
#include <string>

namespace carat {

Status check_context(const ModelConfig& config, int64_t context) {
  if (context >= 0 && context <= config.context) return success();
  return wrong_usage("context: expected 1 to " + std::to_string(config.context) +
                     " positions, the most that the model was made for, or 0 for all of them; found " +
                     std::to_string(context));
}

Result<Session> Session::create(Model& model, const SessionOptions& options) {
  CARAT_TRY_STATUS(check_context(model.config(), options.context));
  CARAT_TRY(const CacheOptions kept, model.cache_options(options.cache_type));
  CARAT_TRY(Sampler sampler, Sampler::create(options.sampling, static_cast<int32_t>(model.config().vocabulary),
                                             model.vocabulary().suppressed));
  return Session(model, options.context == 0 ? model.config().context : options.context, kept, std::move(sampler));
}

Session::Session(Model& model, int64_t context, const CacheOptions& kept, Sampler sampler)
    : model_(&model), cache_(model.config(), context, kept), sampler_(std::move(sampler)) {}

Status Session::prefill(std::span<const int32_t> ids) {
  CARAT_TRY_STATUS(check_prompt(ids));
  CARAT_TRY_STATUS(feed_pending());
  return feed(ids);
}

Status Session::check_prompt(std::span<const int32_t> ids) const {
  if (ids.empty()) return wrong_usage("the prompt is empty: give at least one token");
  CARAT_TRY_STATUS(model_->check_ids(ids));
  const auto wanted = static_cast<int64_t>(ids.size());
  const int64_t used = position() + (pending_ ? 1 : 0);
  if (wanted <= context() - used) return success();
  return wrong_usage("the prompt has " + std::to_string(wanted) + " tokens, but only " +
                     std::to_string(std::max<int64_t>(context() - used, 0)) + " of the context's " +
                     std::to_string(context()) +
                     " positions are free: shorten the prompt or choose a larger context (the model's largest is " +
                     std::to_string(model_->config().context) + ")");
}

Result<int32_t> Session::next() {
  CARAT_CHECK(position() > 0, "a prompt before the first token");
  if (full()) {
    return failed("the context of " + std::to_string(context()) + " positions is full: choose a larger context");
  }
  CARAT_TRY_STATUS(feed_pending());
  if (logits_.empty()) {
    if (cache_.size() == position()) rewind_cache(position() - 1);
    CARAT_TRY_STATUS(feed_up_to(position()));
  }
  CARAT_TRY(pending_, sampler_.pick(logits_));
  return *pending_;
}

int64_t Session::rewind(int64_t position) {
  CARAT_CHECK(position >= 0 && position <= this->position(), "a position that was fed");
  pending_.reset();
  if (position == this->position()) return position - cache_.size();
  tokens_.resize(static_cast<size_t>(position));
  logits_ = {};
  rewind_cache(position);
  sampler_.forget();
  for (const int32_t id : tokens_) sampler_.accept(id);
  return position - cache_.size();
}

/// Leaves what the cache can give of the first `position` positions.
void Session::rewind_cache(int64_t position) {
  if (position >= cache_.size()) return;
  if (position >= cache_.rewind_reach()) return cache_.rewind(position);
  cache_.clear();
}

Status Session::feed_pending() {
  if (!pending_) return success();
  const int32_t id = *pending_;
  pending_.reset();
  return feed({&id, 1});
}

Status Session::feed(std::span<const int32_t> ids) {
  CARAT_TRY_STATUS(cache_.reserve(position() + static_cast<int64_t>(ids.size())));
  tokens_.reserve(static_cast<size_t>(cache_.reserved()));
  const int64_t old = position();
  tokens_.insert(tokens_.end(), ids.begin(), ids.end());
  for (const int32_t id : ids) sampler_.accept(id);
  const Status fed = feed_after(old);
  if (!fed.ok()) rewind(old);
  return fed;
}

/// Feeds all tokens, those from `old` on for the first time.
Status Session::feed_after(int64_t old) {
  if (!sink_) return feed_up_to(position());
  CARAT_TRY_STATUS(feed_up_to(old));
  return feed_to_sink();
}

/// Feeds those of the first `position` tokens that the cache does not have.
Status Session::feed_up_to(int64_t position) {
  if (cache_.size() == position) return success();
  const std::span<const int32_t> missing =
      std::span(tokens_).first(static_cast<size_t>(position)).subspan(static_cast<size_t>(cache_.size()));
  logits_ = {};
  CARAT_TRY(const std::span<const float> logits, model_->last_logits(missing, cache_));
  CARAT_TRY_STATUS(model_->check_finite(logits));
  logits_ = logits;
  return success();
}

Status Session::feed_to_sink() {
  const auto V = static_cast<size_t>(model_->config().vocabulary);
  logits_ = {};
  while (cache_.size() < position()) {
    const auto count = static_cast<size_t>(std::min(position() - cache_.size(), model_->logit_rows()));
    const std::span<const int32_t> ids = std::span(tokens_).subspan(static_cast<size_t>(cache_.size()), count);
    CARAT_TRY(const std::span<const float> rows, model_->all_logits(ids, cache_));
    CARAT_TRY_STATUS(model_->check_finite(rows));
    for (size_t row = 0; row < count; ++row) CARAT_TRY_STATUS(sink_(rows.subspan(row * V, V)));
    if (cache_.size() == position()) logits_ = rows.last(V);
  }
  return success();
}

}  // namespace carat
