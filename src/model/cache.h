#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "formats/model_config.h"
#include "ops/ops.h"

namespace carat {

/// Most tokens that go through the layers together; a longer input is fed in chunks of this length.
inline constexpr int64_t kChunkTokens = 128;

/// Keys and values of the positions seen so far, in float32: scores are not scaled down in this family, so that
/// half-precision keys would move the logits visibly.
///
/// Only layers that own keys and values have a store; the others read their donor's. A full-attention layer
/// keeps every position, a sliding layer a ring of its window and one chunk. Stores grow by doubling, up to the
/// limit: a long context costs nothing before it is used, and almost no step of decoding allocates.
class KvCache {
 public:
  /// A cache for at most `limit` positions. Allocates nothing yet.
  KvCache(const ModelConfig& config, int64_t limit);

  /// Positions held; the next token gets this position.
  int64_t size() const { return size_; }
  int64_t limit() const { return limit_; }

  /// Makes room for `positions` in total. Fails when that is beyond the limit, or when memory is short; what the
  /// cache holds stays.
  Status reserve(int64_t positions);

  /// Adds `T` positions, at most kChunkTokens and reserved before. Their keys and values are `store`d before
  /// anything reads them.
  void extend(int64_t T);

  /// Takes the keys and values [T, K * d] of the last T positions. `layer` owns its keys and values.
  void store(size_t layer, int64_t T, const float* keys, const float* values);

  /// What `layer` attends to, its own store or its donor's.
  KeyValueView view(size_t layer) const;

  /// Forgets all positions; keeps the memory.
  void clear() { size_ = 0; }

  /// Bytes allocated now.
  uint64_t bytes() const;

 private:
  struct Store {
    std::vector<float> keys;    // [rows, K * d]
    std::vector<float> values;  // [rows, K * d]
  };

  int64_t rows(size_t layer) const;

  ModelConfig config_;
  int64_t limit_;
  int64_t reserved_ = 0;
  int64_t size_ = 0;
  std::vector<Store> stores_;  // by layer; empty where the layer reads another's
};

/// Bytes of a cache with room for `positions`.
uint64_t kv_cache_bytes(const ModelConfig& config, int64_t positions);

}  // namespace carat
