#include "session/generate.h"

#include <algorithm>
#include <chrono>

#include "text/stream.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Feeds the prompt in parts, but for the last one, until there is an interruption; returns what is left of it.
Result<std::span<const int32_t>> feed_parts(Session& session, std::span<const int32_t> prompt,
                                            const std::function<bool()>& interrupted) {
  CARAT_TRY_STATUS(session.check_prompt(prompt));
  // After each part logits are computed, which would count beside smaller ones.
  const auto part = static_cast<size_t>(std::max(session.cache_options().batch, kChunkTokens));
  while (prompt.size() > part && !interrupted()) {
    CARAT_TRY_STATUS(session.prefill(prompt.first(part)));
    prompt = prompt.subspan(part);
  }
  return prompt;
}

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kStop:
      return "stop";
    case StopReason::kLength:
      return "length";
    case StopReason::kContext:
      return "context";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  CARAT_CHECK(false, "a stop reason");
}

Result<Generation> generate(Session& session, std::span<const int32_t> prompt, const GenerationOptions& options,
                            const TokenCallback& on_token) {
  Generation generation;
  const Clock::time_point start = Clock::now();
  std::span<const int32_t> rest = prompt;
  if (options.interrupted) {
    CARAT_TRY(rest, feed_parts(session, prompt, options.interrupted));
    if (options.interrupted()) {
      generation.prefill_seconds = seconds_since(start);
      generation.prefill_tokens = static_cast<int64_t>(prompt.size() - rest.size());
      generation.stop_reason = StopReason::kInterrupted;
      return generation;
    }
  }
  CARAT_TRY_STATUS(session.prefill(rest));
  generation.prefill_seconds = seconds_since(start);
  generation.prefill_tokens = static_cast<int64_t>(prompt.size());

  for (int64_t count = 0;; ++count) {
    if (count >= options.tokens) return generation;
    if (session.full()) {
      generation.stop_reason = StopReason::kContext;
      return generation;
    }
    const Clock::time_point token_start = Clock::now();
    CARAT_TRY(const int32_t id, session.next());
    if (count > 0) {
      generation.decode_seconds += seconds_since(token_start);
      ++generation.decode_tokens;
    }
    generation.tokens.push_back(id);
    const bool go_on = on_token(id);
    if (std::find(options.stop.begin(), options.stop.end(), id) != options.stop.end()) {
      generation.stop_reason = StopReason::kStop;
      return generation;
    }
    if (!go_on) {
      generation.stop_reason = StopReason::kInterrupted;
      return generation;
    }
  }
}

Result<Generation> generate_text(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                 const GenerationOptions& options, StopStrings stop_strings,
                                 const TextCallback& on_text) {
  TextStream stream(tokenizer);
  CARAT_TRY(Generation generation, generate(session, prompt, options, [&](int32_t id) {
              const bool go_on = on_text(stop_strings.append(stream.append(id)));
              return go_on && stop_strings.found().empty();
            }));
  std::string rest = stop_strings.append(stream.end());
  if (stop_strings.found().empty()) {
    rest += stop_strings.end();
  } else {
    generation.stop_reason = StopReason::kStop;
    generation.stop_string = stop_strings.found();
  }
  on_text(rest);
  return generation;
}

}  // namespace carat
