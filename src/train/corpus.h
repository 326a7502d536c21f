#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace carat {

/// A batch of training sequences, row by row: each row is BOS and then consecutive tokens of the corpus.
struct Batch {
  int64_t sequences = 0;
  int64_t length = 0;           ///< tokens fed per sequence
  std::vector<int64_t> ids;     ///< [sequences, length]
  std::vector<int64_t> labels;  ///< [sequences, length]: the token that follows each fed one
};

/// The tokens that a model is trained on, and the order in which it sees them.
///
/// The order is a function of the seed and of the number of the sequence alone: a run that resumes at step s
/// sees what it would have seen. Each epoch cuts the tokens into windows at another offset and shuffles them.
class Corpus {
 public:
  /// Tokenizes UTF-8 text files one after the other. Refuses an empty corpus.
  static Result<Corpus> from_text_files(const std::vector<std::filesystem::path>& paths, const Tokenizer& tokenizer);

  /// Takes tokens that are already there, without BOS.
  static Corpus from_tokens(std::vector<int32_t> tokens, int32_t bos);

  size_t size() const { return tokens_.size(); }

  /// Sequences `first` to `first + sequences - 1` of the run with this seed. `length` is at most `size()`;
  /// the last tokens of an epoch that fill no window are left out.
  Batch batch(uint64_t seed, int64_t first, int64_t sequences, int64_t length);

 private:
  Corpus(std::vector<int32_t> tokens, int32_t bos) : tokens_(std::move(tokens)), bos_(bos) {}
  /// Starts of the windows of one epoch, in the order in which they are seen.
  const std::vector<int64_t>& window_order(uint64_t seed, int64_t epoch, int64_t length);

  std::vector<int32_t> tokens_;
  int32_t bos_;
  std::vector<int64_t> order_;
  int64_t order_epoch_ = -1;
};

}  // namespace carat
