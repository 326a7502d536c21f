#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace carat {

/// The text of ids that come one by one. Gives out only whole characters: bytes that could still become one wait
/// for the next id. All that was given out together is what `Tokenizer::decode` makes of the same ids.
class TextStream {
 public:
  /// `tokenizer` must outlive the stream.
  explicit TextStream(const Tokenizer& tokenizer, ControlPieces control = ControlPieces::kSkip)
      : tokenizer_(&tokenizer), control_(control) {}

  /// The characters that this id completes; often a word, sometimes nothing. The id must be in the vocabulary.
  std::string append(int32_t id);

  /// What still waits, as U+FFFD; then the stream is as new.
  std::string end();

 private:
  const Tokenizer* tokenizer_;
  ControlPieces control_;
  std::string waiting_;  // the start of a character
};

}  // namespace carat
