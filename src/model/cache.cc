#include "model/cache.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "base/check.h"

namespace carat {
namespace {

constexpr int64_t kFirstPositions = 256;

int64_t row_width(const LayerConfig& layer) { return layer.kv_heads * layer.head_width; }

/// A chunk is stored whole before its first query reads: the ring then holds that query's window and the chunk.
int64_t rows_for(const ModelConfig& config, const LayerConfig& layer, int64_t positions) {
  if (layer.attention == AttentionType::kFull) return positions;
  return std::min(positions, config.sliding_window + kChunkTokens - 1);
}

/// `resize` alone may allocate more than it is asked for.
void resize_exactly(std::vector<float>& values, size_t size) {
  values.reserve(size);
  values.resize(size);
}

}  // namespace

KvCache::KvCache(const ModelConfig& config, int64_t limit)
    : config_(config), limit_(limit), stores_(config.layers.size()) {}

Status KvCache::reserve(int64_t positions) {
  if (positions > limit_) {
    return failed("the cache is limited to " + std::to_string(limit_) + " positions, " + std::to_string(positions) +
                  " are needed");
  }
  if (positions <= reserved_) return success();
  const int64_t target = std::min(limit_, std::max({positions, 2 * reserved_, kFirstPositions}));
  // A store wraps around only once it has the rows of its whole ring, so that growing moves no row.
  try {
    for (size_t l = 0; l < stores_.size(); ++l) {
      if (!config_.owns_kv(l)) continue;
      const LayerConfig& layer = config_.layers[l];
      const auto floats = static_cast<size_t>(rows_for(config_, layer, target) * row_width(layer));
      resize_exactly(stores_[l].keys, floats);
      resize_exactly(stores_[l].values, floats);
    }
  } catch (const std::bad_alloc&) {
    return failed("not enough memory for the keys and values of " + std::to_string(target) + " positions (" +
                  std::to_string(kv_cache_bytes(config_, target)) + " bytes); choose a smaller context");
  }
  reserved_ = target;
  return success();
}

void KvCache::extend(int64_t T) {
  CARAT_CHECK(T >= 1 && T <= kChunkTokens && size_ + T <= reserved_, "a chunk that was reserved");
  size_ += T;
}

void KvCache::store(size_t layer, int64_t T, const float* keys, const float* values) {
  Store& store = stores_[layer];
  const int64_t width = row_width(config_.layers[layer]);
  const int64_t capacity = rows(layer);
  for (int64_t t = 0; t < T; ++t) {
    const int64_t row = (size_ - T + t) % capacity;
    std::memcpy(&store.keys[row * width], keys + t * width, width * sizeof(float));
    std::memcpy(&store.values[row * width], values + t * width, width * sizeof(float));
  }
}

KeyValueView KvCache::view(size_t layer) const {
  const auto owner = static_cast<size_t>(config_.layers[layer].kv_layer);
  const LayerConfig& shape = config_.layers[owner];
  return {.keys = stores_[owner].keys.data(),
          .values = stores_[owner].values.data(),
          .capacity = rows(owner),
          .kv_heads = shape.kv_heads,
          .width = shape.head_width};
}

uint64_t KvCache::bytes() const {
  uint64_t floats = 0;
  for (const Store& store : stores_) floats += store.keys.capacity() + store.values.capacity();
  return floats * sizeof(float);
}

int64_t KvCache::rows(size_t layer) const {
  return static_cast<int64_t>(stores_[layer].keys.size()) / row_width(config_.layers[layer]);
}

uint64_t kv_cache_bytes(const ModelConfig& config, int64_t positions) {
  uint64_t floats = 0;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    if (!config.owns_kv(l)) continue;
    const LayerConfig& layer = config.layers[l];
    floats += 2 * static_cast<uint64_t>(rows_for(config, layer, positions) * row_width(layer));
  }
  return floats * sizeof(float);
}

}  // namespace carat
