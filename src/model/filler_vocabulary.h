#pragma once

#include <cstdint>

#include "formats/vocabulary.h"

namespace carat {

/// Fewest pieces of a filler vocabulary.
inline constexpr int64_t kSmallestFillerVocabulary = 512;

/// A vocabulary for models with random weights: valid in every container, of any size from
/// kSmallestFillerVocabulary on. It has Gemma 4's special pieces (with the ids of opal), the bytes, and a piece for
/// each printable ASCII character and the newline. The rest are numbered pieces that no text encodes to, for there
/// are no merges.
Vocabulary filler_vocabulary(int64_t size);

}  // namespace carat
