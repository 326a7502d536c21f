#include "session/session.h"

#include <algorithm>
#include <string>

namespace carat {

Result<Session> Session::create(Model& model, const SessionOptions& options) {
  CARAT_TRY_STATUS(validate(options.sampling));
  const int64_t most = model.config().context;
  if (options.context < 0 || options.context > most) {
    return wrong_usage("context: expected 1 to " + std::to_string(most) +
                       " positions, the most that the model was made " + "for, or 0 for all of them; found " +
                       std::to_string(options.context));
  }
  return Session(model, options.context == 0 ? most : options.context, options.sampling);
}

Session::Session(Model& model, int64_t context, const SamplingOptions& sampling)
    : model_(&model), cache_(model.config(), context), sampler_(sampling) {}

Status Session::prefill(std::span<const int32_t> ids) {
  if (ids.empty()) return wrong_usage("the prompt is empty: give at least one token");
  CARAT_TRY_STATUS(model_->check_ids(ids));
  const int64_t used = position() + (pending_ ? 1 : 0);
  const auto wanted = static_cast<int64_t>(ids.size());
  if (wanted > context() - used) {
    return wrong_usage("the prompt has " + std::to_string(wanted) + " tokens, but only " +
                       std::to_string(std::max<int64_t>(context() - used, 0)) + " of the context's " +
                       std::to_string(context()) +
                       " positions are free: shorten the prompt or choose a larger context (the model's largest is " +
                       std::to_string(model_->config().context) + ")");
  }
  CARAT_TRY_STATUS(feed_pending());
  return feed(ids);
}

Result<int32_t> Session::next() {
  CARAT_CHECK(position() > 0, "a prompt before the first token");
  if (full()) {
    return failed("the context of " + std::to_string(context()) + " positions is full: choose a larger context");
  }
  CARAT_TRY_STATUS(feed_pending());
  pending_ = sampler_.pick(logits_);
  return *pending_;
}

Status Session::feed_pending() {
  if (!pending_) return success();
  const int32_t id = *pending_;
  pending_.reset();
  return feed({&id, 1});
}

Status Session::feed(std::span<const int32_t> ids) {
  CARAT_TRY_STATUS(cache_.reserve(position() + static_cast<int64_t>(ids.size())));
  if (sink_) return feed_to_sink(ids);
  logits_ = model_->last_logits(ids, cache_);
  return model_->check_finite(logits_);
}

Status Session::feed_to_sink(std::span<const int32_t> ids) {
  const auto V = static_cast<size_t>(model_->config().vocabulary);
  while (!ids.empty()) {
    const size_t count = std::min(ids.size(), static_cast<size_t>(model_->logit_rows()));
    const std::span<const float> rows = model_->all_logits(ids.first(count), cache_);
    CARAT_TRY_STATUS(model_->check_finite(rows));
    for (size_t row = 0; row < count; ++row) CARAT_TRY_STATUS(sink_(rows.subspan(row * V, V)));
    logits_ = rows.last(V);
    ids = ids.subspan(count);
  }
  return success();
}

}  // namespace carat
