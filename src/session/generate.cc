#include "session/generate.h"

#include <algorithm>
#include <chrono>

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

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
  CARAT_TRY_STATUS(session.prefill(prompt));
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

}  // namespace carat
