#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "session/generate.h"
#include "session/session.h"
#include "text/tokenizer.h"

namespace carat {

/// Generates, and writes the text to standard output token by token as it comes, in whole characters, with a newline
/// behind the last. Ends early when `interrupted` becomes true.
Result<Generation> stream_generation(Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt,
                                     const GenerationOptions& options, const std::atomic<bool>& interrupted);

}  // namespace carat
