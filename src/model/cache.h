#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/growing_bytes.h"
#include "base/result.h"
#include "formats/model_config.h"
#include "model/cache_scales.h"
#include "ops/attention.h"

namespace carat {

/// Tokens that go through the layers together when nothing else is asked for.
inline constexpr int64_t kChunkTokens = 128;
inline constexpr int64_t kLargestBatch = 1 << 12;

/// How keys and values are kept (docs/context.md).
struct CacheOptions {
  DType type = DType::kF32;              ///< F32, F16, Q8_0, Q4_0 or I8
  int64_t batch = kChunkTokens;          ///< most tokens that are fed at once
  std::vector<CacheScales> scales = {};  ///< by layer, of I8; of no use with the other types
};

/// "f32", "f16", "q8_0", "q4_0" or "int8" (I8); refuses any other name.
Result<DType> cache_type_named(std::string_view name);
/// The name of one of these types.
std::string_view cache_type_name(DType type);

/// Refuses a type that is none of the five, one whose blocks do not fit the heads of `config`, and I8 where a layer has
/// no scales for its keys and values or keeps no keys to apply them to.
Status check_cache_type(DType type, const ModelConfig& config, std::span<const CacheScales> scales = {});

/// I8 where `check_cache_type` accepts it, F32 elsewhere.
DType default_cache_type(const ModelConfig& config, std::span<const CacheScales> scales);

/// Whether the keys of `layer`, which owns its keys and values, are made from its values and not kept: those of a full
/// layer whose values come from the key projection.
bool rebuilds_keys(const ModelConfig& config, size_t layer);

/// Bytes of a cache, by what they hold.
struct CacheBytes {
  uint64_t sliding = 0;    ///< keys and values of sliding layers
  uint64_t full = 0;       ///< keys and values of full layers, only values where keys are rebuilt
  uint64_t rotations = 0;  ///< cosines and sines by position, where keys are rebuilt

  uint64_t total() const { return sliding + full + rotations; }
};

/// Bytes of a cache with room for `positions`: a sliding layer has min(positions, W + batch - 1) rows, a full one
/// `positions`.
CacheBytes kv_cache_bytes(const ModelConfig& config, int64_t positions, const CacheOptions& options = {});

/// Keys and values of the positions seen so far.
///
/// Only layers that own keys and values have a store; the others read their donor's. A full-attention layer keeps
/// every position, a sliding layer a ring of its window and what is fed at once. A row is rounded to the lattice of the
/// cache's type and depends on nothing but its own values. Stores grow by doubling, up to the limit: a long context
/// costs nothing before it is used, and almost no step of decoding allocates.
class KvCache {
 public:
  /// A cache for at most `limit` positions. Allocates nothing yet. `options` pass `check_cache_type`, the batch is at
  /// least 1.
  KvCache(const ModelConfig& config, int64_t limit, const CacheOptions& options = {});

  /// Positions held; the next token gets this position.
  int64_t size() const { return size_; }
  int64_t limit() const { return limit_; }
  /// Positions that there is room for.
  int64_t reserved() const { return reserved_; }
  const CacheOptions& options() const { return options_; }

  /// Makes room for `positions` in total. Fails when that is beyond the limit, or when memory is short; what the
  /// cache holds stays.
  Status reserve(int64_t positions);

  /// Adds `T` positions, at most a batch and reserved before. Their keys and values are `store`d before anything reads
  /// them.
  void extend(int64_t T);

  /// Takes the keys and values [T, K * d] of the last T positions. `layer` owns its keys and values; where keys are
  /// rebuilt, `keys` is not looked at. A row with a value that is not finite is kept as NaN; as I8, where infinities go
  /// to the ends of the range, a row with a NaN.
  void store(size_t layer, int64_t T, const float* keys, const float* values);

  /// Takes the rotations of the last T positions in full layers [T, d / 2, 2], if any layer rebuilds its keys.
  void store_rotations(int64_t T, const float* table);

  /// What `layer` attends to, its own store or its donor's. Where keys are rebuilt, `key_norm` is left to the caller.
  KeyValueView view(size_t layer) const;

  /// Least size that `rewind` reaches; what sliding layers had before it is gone.
  int64_t rewind_reach() const;

  /// Forgets the positions from `size` on; at least `rewind_reach()`, at most as many as are held.
  void rewind(int64_t size);

  /// Forgets all positions; keeps the memory.
  void clear();

  /// Bytes allocated now.
  uint64_t bytes() const;

 private:
  struct Store {
    GrowingBytes keys;            // [rows, K * d]; empty where keys are rebuilt
    GrowingBytes values;          // [rows, K * d]
    std::vector<uint8_t> faults;  // [rows]  of I8, which has no NaN: 1 where a row had one; empty before the first
  };

  bool grow(int64_t positions);
  void store_codes(size_t layer, int64_t row, const float* keys, const float* values);
  int64_t row_length(size_t layer) const;  // bytes
  int64_t rows(size_t layer) const;

  ModelConfig config_;
  int64_t limit_;
  CacheOptions options_;
  int64_t reserved_ = 0;
  int64_t size_ = 0;
  int64_t farthest_ = 0;       // largest size since the last `clear`: rings have dropped what lies a ring before it
  std::vector<Store> stores_;  // by layer; empty where the layer reads another's
  GrowingBytes rotations_;     // [positions, rotated pairs, 2] float32; empty where all keys are kept
};

}  // namespace carat
