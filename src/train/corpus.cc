#include "train/corpus.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "base/file_map.h"
#include "base/random.h"

namespace carat {

Result<Corpus> Corpus::from_text_files(const std::vector<std::filesystem::path>& paths, const Tokenizer& tokenizer) {
  std::vector<int32_t> tokens;
  for (const auto& path : paths) {
    CARAT_TRY(const FileMap file, FileMap::open(path));
    const std::vector<int32_t> ids = tokenizer.encode(as_text(file.bytes()));
    tokens.insert(tokens.end(), ids.begin(), ids.end());
  }
  if (tokens.empty()) return refused("the training text is empty; name a UTF-8 text file with --text");
  return Corpus(std::move(tokens), tokenizer.bos());
}

Corpus Corpus::from_tokens(std::vector<int32_t> tokens, int32_t bos) { return Corpus(std::move(tokens), bos); }

const std::vector<int64_t>& Corpus::window_order(uint64_t seed, int64_t epoch, int64_t length) {
  if (epoch == order_epoch_) return order_;
  const auto size = static_cast<int64_t>(tokens_.size());
  Random random(seed, static_cast<uint64_t>(epoch));
  const int64_t windows = size / length;
  const auto offset = static_cast<int64_t>(random.below(static_cast<uint32_t>(size - windows * length + 1)));
  order_.resize(static_cast<size_t>(windows));
  std::iota(order_.begin(), order_.end(), 0);
  for (int64_t i = windows - 1; i > 0; --i) {
    std::swap(order_[static_cast<size_t>(i)], order_[random.below(static_cast<uint32_t>(i + 1))]);
  }
  for (int64_t& window : order_) window = offset + window * length;
  order_epoch_ = epoch;
  return order_;
}

Batch Corpus::batch(uint64_t seed, int64_t first, int64_t sequences, int64_t length) {
  CARAT_CHECK(length > 0 && length <= static_cast<int64_t>(size()), "a sequence fits the corpus");
  const int64_t per_epoch = static_cast<int64_t>(size()) / length;
  Batch batch{sequences, length, {}, {}};
  for (int64_t sequence = first; sequence < first + sequences; ++sequence) {
    const int64_t start = window_order(seed, sequence / per_epoch, length)[static_cast<size_t>(sequence % per_epoch)];
    const auto window = tokens_.begin() + start;
    batch.ids.push_back(bos_);
    batch.ids.insert(batch.ids.end(), window, window + length - 1);
    batch.labels.insert(batch.labels.end(), window, window + length);
  }
  return batch;
}

}  // namespace carat
