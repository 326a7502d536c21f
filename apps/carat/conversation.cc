#include "conversation.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "session/stop_strings.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Makes a message of the parts of an answer, and ends the answer at a stop string.
class AnswerParts {
 public:
  AnswerParts(StopStrings stop, const AnswerListener& listener)
      : stop_(std::move(stop)), listener_(listener), start_(Clock::now()) {
    message_.role = ChatRole::kModel;
  }

  void count_token() { ++tokens_; }

  /// Returns whether to go on.
  bool take(std::vector<AnswerEvent> events) {
    bool go_on = true;
    for (AnswerEvent& event : events) go_on = go_on && stop_.found().empty() && take(event);
    return go_on && stop_.found().empty();
  }

  /// What waited because a stop string could have begun with it.
  void end() {
    if (stop_.found().empty()) flush_text();
  }

  const std::string& stop_string() const { return stop_.found(); }
  bool said_something() const { return !message_.text.empty() || !message_.calls.empty(); }
  const ChatMessage& message() const& { return message_; }
  ChatMessage message() && { return std::move(message_); }

 private:
  bool take(AnswerEvent& event) {
    if (event.kind == AnswerEvent::Kind::kText) return tell_text(stop_.append(event.text));
    const bool go_on = flush_text();
    if (event.kind == AnswerEvent::Kind::kThought) message_.thought += event.text;
    if (event.kind == AnswerEvent::Kind::kCall) message_.calls.push_back(*event.call);
    return tell(event) && go_on;
  }

  bool flush_text() { return tell_text(stop_.end()); }

  bool tell_text(std::string text) {
    if (text.empty()) return true;
    message_.text += text;
    return tell({.kind = AnswerEvent::Kind::kText, .text = std::move(text)});
  }

  bool tell(const AnswerEvent& event) {
    return listener_.on_event(event, {.seconds = seconds_since(start_), .tokens = tokens_});
  }

  StopStrings stop_;
  const AnswerListener& listener_;
  Clock::time_point start_;
  int64_t tokens_ = 0;
  ChatMessage message_;
};

auto last_user_message(std::vector<ChatMessage>& messages) {
  const auto found = std::find_if(messages.rbegin(), messages.rend(),
                                  [](const ChatMessage& message) { return message.role == ChatRole::kUser; });
  return found == messages.rend() ? messages.end() : std::prev(found.base());
}

}  // namespace

Status Conversation::set(std::vector<ChatMessage> messages, ChatOptions options) {
  CARAT_TRY(const std::vector<int32_t> rendered, format_.render(messages, options, false));
  messages_ = std::move(messages);
  options_ = std::move(options);
  return success();
}

Result<Answer> Conversation::answer(const AnswerLimits& limits, const AnswerListener& listener) {
  CARAT_TRY(StopStrings stop, StopStrings::create(limits.stop));
  CARAT_TRY(const std::vector<int32_t> ids, format_.render(messages_, options_, true));
  CARAT_TRY_STATUS(check_room(ids.size()));
  Generation fed;
  CARAT_TRY(const std::span<const int32_t> rest, feed(ids, limits.batch, listener, fed));
  if (listener.interrupted()) {
    fed.stop_reason = StopReason::kInterrupted;
    return Answer{std::move(fed), {}};
  }

  AnswerStream stream(tokenizer_, format_.pieces(), ends_within_thought(ids, format_.pieces()));
  AnswerParts parts(std::move(stop), listener);
  CARAT_TRY(Generation generation,
            generate(session_, rest, {.tokens = limits.tokens, .stop = format_.stop()}, [&](int32_t id) {
              parts.count_token();
              return parts.take(stream.append(id)) && !listener.interrupted();
            }));
  if (parts.take(stream.end())) parts.end();
  generation.prefill_tokens += fed.prefill_tokens;
  generation.prefill_seconds += fed.prefill_seconds;
  if (!parts.stop_string().empty()) {
    generation.stop_reason = StopReason::kStop;
    generation.stop_string = parts.stop_string();
  }
  if (parts.said_something()) messages_.push_back(parts.message());
  return Answer{std::move(generation), std::move(parts).message()};
}

Status Conversation::check_room(size_t prompt) const {
  if (prompt <= static_cast<size_t>(context())) return success();
  return wrong_usage("the conversation takes " + std::to_string(prompt) + " positions, and the context has " +
                     std::to_string(context()) + "; begin a new one, or choose a larger -c");
}

/// Feeds what the session has not seen, but for a last part that is left to `generate`, and returns that.
Result<std::span<const int32_t>> Conversation::feed(std::span<const int32_t> ids, int64_t batch,
                                                    const AnswerListener& listener, Generation& generation) {
  const std::span<const int32_t> seen = session_.tokens();
  const auto same = std::mismatch(seen.begin(), seen.end(), ids.begin(), ids.end()).second - ids.begin();
  auto fed = std::min(static_cast<int64_t>(same), static_cast<int64_t>(ids.size()) - 1);
  if (session_.rewind(fed) > 0) {
    // What would be fed again in one call, which nothing can interrupt, is fed in parts with the rest.
    session_.rewind(0);
    fed = 0;
  }
  const Clock::time_point start = Clock::now();
  const auto total = static_cast<int64_t>(ids.size()) - fed;
  std::span<const int32_t> rest = ids.subspan(static_cast<size_t>(fed));
  while (static_cast<int64_t>(rest.size()) > batch && !listener.interrupted()) {
    CARAT_TRY_STATUS(session_.prefill(rest.first(static_cast<size_t>(batch))));
    rest = rest.subspan(static_cast<size_t>(batch));
    generation.prefill_tokens += batch;
    listener.on_read(generation.prefill_tokens, total);
  }
  generation.prefill_seconds = seconds_since(start);
  return rest;
}

bool Conversation::take_back_answer() {
  const auto user = last_user_message(messages_);
  if (user == messages_.end()) return false;
  messages_.erase(std::next(user), messages_.end());
  return true;
}

bool Conversation::take_back_turn() {
  const auto user = last_user_message(messages_);
  if (user == messages_.end()) return false;
  messages_.erase(user, messages_.end());
  return true;
}

}  // namespace carat
