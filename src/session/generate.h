#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "session/session.h"
#include "session/stop_strings.h"
#include "text/tokenizer.h"

namespace carat {

enum class StopReason : uint8_t { kStop, kLength, kContext, kInterrupted };

/// "stop" (a stop id or a stop string), "length" (as many tokens as asked for), "context" (the context is full),
/// "interrupted".
std::string_view stop_reason_name(StopReason reason);

struct GenerationOptions {
  int64_t tokens = 128;                         ///< most ids to generate
  std::vector<int32_t> stop = {};               ///< ids that end the generation, such as Vocabulary::stop
  std::function<bool()> interrupted = nullptr;  ///< looked at between parts of the prompt; null: never
};

/// Takes each id as it is generated, a stop id included; returns whether to go on.
using TokenCallback = std::function<bool(int32_t id)>;

struct Generation {
  std::vector<int32_t> tokens;  ///< generated ids; a stop id is the last one
  StopReason stop_reason = StopReason::kLength;
  std::string stop_string;  ///< the one that ended `generate_text`; empty when none did
  int64_t prefill_tokens = 0;
  double prefill_seconds = 0.0;
  int64_t decode_tokens = 0;  ///< ids fed one at a time; the last id generated is not fed
  double decode_seconds = 0.0;

  double prefill_tokens_per_s() const { return prefill_seconds > 0 ? prefill_tokens / prefill_seconds : 0.0; }
  double decode_tokens_per_s() const { return decode_seconds > 0 ? decode_tokens / decode_seconds : 0.0; }
};

/// Feeds `prompt` to the session and generates until something of `StopReason` happens. Errors are those of
/// `Session::prefill` and `Session::next`.
Result<Generation> generate(Session& session, std::span<const int32_t> prompt, const GenerationOptions& options,
                            const TokenCallback& on_token);

/// Takes text as it is generated, in whole characters, once for each id: empty when an id completes no character, or
/// when its text may become a stop string. Returns whether to go on.
using TextCallback = std::function<bool(std::string_view text)>;

/// The same as text, which ends in front of the first of the stop strings, wherever the borders of its ids are. Control
/// pieces have no text. The session has seen the ids of the stop string but the last.
Result<Generation> generate_text(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                 const GenerationOptions& options, StopStrings stop_strings,
                                 const TextCallback& on_text);

}  // namespace carat
