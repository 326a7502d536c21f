#include "model/cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "base/check.h"
#include "formats/quote.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"

namespace carat {
namespace {

constexpr int64_t kFirstPositions = 256;

struct NamedType {
  std::string_view name;
  DType type;
};

constexpr NamedType kTypes[] = {
    {"f32", DType::kF32}, {"f16", DType::kF16}, {"q8_0", DType::kQ8_0}, {"q4_0", DType::kQ4_0}, {"int8", DType::kI8}};

constexpr std::string_view kTypeNames = "f32, f16, q8_0, q4_0 or int8";

int64_t row_width(const LayerConfig& layer) { return layer.kv_heads * layer.head_width; }

uint64_t bytes_of_row(const LayerConfig& layer, DType type) {
  return *row_bytes(type, static_cast<uint64_t>(row_width(layer)));
}

/// A chunk is stored whole before its first query reads: the ring then holds that query's window and the chunk.
int64_t rows_for(const ModelConfig& config, const LayerConfig& layer, int64_t positions, int64_t batch) {
  if (layer.attention == AttentionType::kFull) return positions;
  return std::min(positions, config.sliding_window + batch - 1);
}

/// A layer whose keys are rebuilt, null when there is none. All full layers have one head width, so that one table
/// serves them.
const LayerConfig* rotating_layer(const ModelConfig& config) {
  for (size_t l = 0; l < config.layers.size(); ++l) {
    if (rebuilds_keys(config, l)) return &config.layers[l];
  }
  return nullptr;
}

int64_t rotation_floats(const ModelConfig& config) {
  const LayerConfig* layer = rotating_layer(config);
  return layer == nullptr ? 0 : 2 * config.rotated_pairs(*layer);
}

void encode_row(DType type, std::span<const float> values, std::span<std::byte> row) {
  if (std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
    return encode(type, values, row);
  }
  // All bits set are a NaN, and the scale of a block that is NaN.
  std::fill(row.begin(), row.end(), std::byte{0xff});
}

/// Returns whether no value is a NaN; the row is any row otherwise.
bool encode_codes(std::span<const float> values, float scale, std::byte* row) {
  for (const float value : values) {
    if (std::isnan(value)) return false;
    *row++ = static_cast<std::byte>(static_code(value, scale));
  }
  return true;
}

Status check_cache_scales(const ModelConfig& config, std::span<const CacheScales> scales) {
  const std::string refusal = "keys and values cannot be kept as int8: ";
  if (scales.empty()) {
    return wrong_usage(refusal + "the model has no trained scales for them (k_cache_scale, v_cache_scale); " +
                       "expected f32, f16, q8_0 or q4_0");
  }
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const std::string layer = "layer " + std::to_string(l);
    if (rebuilds_keys(config, l)) {
      return wrong_usage(refusal + layer + " makes its keys of its values and keeps none that a scale could be for");
    }
    if (!(scales[l].keys > 0.0f && scales[l].values > 0.0f)) {
      return wrong_usage(refusal + layer + " has no trained " + (scales[l].keys > 0.0f ? "v" : "k") + "_cache_scale");
    }
  }
  return success();
}

}  // namespace

std::string_view cache_type_name(DType type) {
  for (const NamedType& known : kTypes) {
    if (known.type == type) return known.name;
  }
  return dtype_name(type);
}

Result<DType> cache_type_named(std::string_view name) {
  for (const NamedType& known : kTypes) {
    if (known.name == name) return known.type;
  }
  return wrong_usage("the cache type " + in_quotes(name) + " is unknown: expected " + std::string(kTypeNames));
}

Status check_cache_type(DType type, const ModelConfig& config, std::span<const CacheScales> scales) {
  const auto known =
      std::find_if(std::begin(kTypes), std::end(kTypes), [type](const NamedType& named) { return named.type == type; });
  if (known == std::end(kTypes)) {
    return wrong_usage("keys and values cannot be kept as " + std::string(dtype_name(type)) + ": expected " +
                       std::string(kTypeNames));
  }
  if (type == DType::kI8) return check_cache_scales(config, scales);
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const int64_t width = config.layers[l].head_width;
    if (width % block_elements(type) == 0) continue;
    return wrong_usage("keys and values cannot be kept as " + std::string(known->name) + ": layer " +
                       std::to_string(l) + " has heads of " + std::to_string(width) + " values, no multiple of " +
                       std::to_string(block_elements(type)) + "; f32 and f16 fit any head");
  }
  return success();
}

DType default_cache_type(const ModelConfig& config, std::span<const CacheScales> scales) {
  return check_cache_type(DType::kI8, config, scales).ok() ? DType::kI8 : DType::kF32;
}

bool rebuilds_keys(const ModelConfig& config, size_t layer) {
  const LayerConfig& shape = config.layers[layer];
  return config.owns_kv(layer) && shape.value_is_key && shape.attention == AttentionType::kFull;
}

CacheBytes kv_cache_bytes(const ModelConfig& config, int64_t positions, const CacheOptions& options) {
  CacheBytes bytes;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    if (!config.owns_kv(l)) continue;
    const LayerConfig& layer = config.layers[l];
    const auto rows = static_cast<uint64_t>(rows_for(config, layer, positions, options.batch));
    const uint64_t stores = rebuilds_keys(config, l) ? 1 : 2;
    (layer.attention == AttentionType::kFull ? bytes.full : bytes.sliding) +=
        stores * rows * bytes_of_row(layer, options.type);
  }
  bytes.rotations = static_cast<uint64_t>(positions * rotation_floats(config)) * sizeof(float);
  return bytes;
}

KvCache::KvCache(const ModelConfig& config, int64_t limit, const CacheOptions& options)
    : config_(config), limit_(limit), options_(options), stores_(config.layers.size()) {
  CARAT_CHECK(options.batch >= 1 && check_cache_type(options.type, config, options.scales).ok(),
              "a cache that fits the model");
}

Status KvCache::reserve(int64_t positions) {
  if (positions > limit_) {
    return failed("the cache is limited to " + std::to_string(limit_) + " positions, " + std::to_string(positions) +
                  " are needed");
  }
  if (positions <= reserved_) return success();
  const int64_t target = std::min(limit_, std::max({positions, 2 * reserved_, kFirstPositions}));
  if (!grow(target)) {
    return failed("not enough memory for the keys and values of " + std::to_string(target) + " positions (" +
                  std::to_string(kv_cache_bytes(config_, target, options_).total()) +
                  " bytes); choose a smaller context or a smaller cache type");
  }
  reserved_ = target;
  return success();
}

/// A store wraps around only once it has the rows of its whole ring, so that growing moves no row.
bool KvCache::grow(int64_t positions) {
  for (size_t l = 0; l < stores_.size(); ++l) {
    if (!config_.owns_kv(l)) continue;
    const int64_t rows = rows_for(config_, config_.layers[l], positions, options_.batch);
    const auto bytes = static_cast<size_t>(rows * row_length(l));
    if (!stores_[l].values.grow(bytes)) return false;
    if (!rebuilds_keys(config_, l) && !stores_[l].keys.grow(bytes)) return false;
  }
  return rotations_.grow(kv_cache_bytes(config_, positions, options_).rotations);
}

void KvCache::extend(int64_t T) {
  CARAT_CHECK(T >= 1 && T <= options_.batch && size_ + T <= reserved_, "a chunk that was reserved");
  size_ += T;
  farthest_ = std::max(farthest_, size_);
}

void KvCache::store(size_t layer, int64_t T, const float* keys, const float* values) {
  Store& store = stores_[layer];
  const auto width = static_cast<size_t>(row_width(config_.layers[layer]));
  const auto length = static_cast<size_t>(row_length(layer));
  const int64_t capacity = rows(layer);
  for (int64_t t = 0; t < T; ++t) {
    const auto row = static_cast<size_t>((size_ - T + t) % capacity);
    const auto first = static_cast<size_t>(t) * width;
    if (options_.type == DType::kI8) {
      store_codes(layer, static_cast<int64_t>(row), keys + first, values + first);
      continue;
    }
    encode_row(options_.type, {values + first, width}, {store.values.data() + row * length, length});
    if (rebuilds_keys(config_, layer)) continue;
    encode_row(options_.type, {keys + first, width}, {store.keys.data() + row * length, length});
  }
}

void KvCache::store_codes(size_t layer, int64_t row, const float* keys, const float* values) {
  Store& store = stores_[layer];
  const CacheScales& scales = options_.scales[layer];
  const auto width = static_cast<size_t>(row_width(config_.layers[layer]));
  const auto index = static_cast<size_t>(row);
  const bool fault = !encode_codes({keys, width}, scales.keys, store.keys.data() + index * width) ||
                     !encode_codes({values, width}, scales.values, store.values.data() + index * width);
  if (fault) store.faults.resize(static_cast<size_t>(rows(layer)));
  if (index < store.faults.size()) store.faults[index] = fault ? 1 : 0;
}

void KvCache::store_rotations(int64_t T, const float* table) {
  const LayerConfig* layer = rotating_layer(config_);
  if (layer == nullptr) return;
  const auto length = static_cast<size_t>(rotation_floats(config_)) * sizeof(float);
  for (int64_t t = 0; t < T; ++t) {
    const auto position = static_cast<size_t>(size_ - T + t);
    std::memcpy(rotations_.data() + position * length, table + t * layer->head_width, length);
  }
}

KeyValueView KvCache::view(size_t layer) const {
  const auto owner = static_cast<size_t>(config_.layers[layer].kv_layer);
  const LayerConfig& shape = config_.layers[owner];
  KeyValueView view = {.type = options_.type,
                       .keys = stores_[owner].keys.data(),
                       .values = stores_[owner].values.data(),
                       .capacity = rows(owner),
                       .kv_heads = shape.kv_heads,
                       .width = shape.head_width};
  if (options_.type == DType::kI8) {
    view.key_scale = options_.scales[owner].keys;
    view.value_scale = options_.scales[owner].values;
    view.faults = stores_[owner].faults;
  }
  if (!rebuilds_keys(config_, owner)) return view;
  view.rotations = reinterpret_cast<const float*>(rotations_.data());
  view.rotated_pairs = config_.rotated_pairs(shape);
  return view;
}

int64_t KvCache::rewind_reach() const {
  const bool slides = std::any_of(config_.layers.begin(), config_.layers.end(),
                                  [](const LayerConfig& layer) { return layer.attention == AttentionType::kSliding; });
  const int64_t ring = config_.sliding_window + options_.batch - 1;
  // The ring then begins W - 1 positions before the new end.
  return slides && farthest_ > ring ? farthest_ - options_.batch : 0;
}

void KvCache::rewind(int64_t size) {
  CARAT_CHECK(size >= rewind_reach() && size <= size_, "a size that rewinding reaches");
  size_ = size;
}

void KvCache::clear() {
  size_ = 0;
  farthest_ = 0;
}

uint64_t KvCache::bytes() const {
  uint64_t bytes = rotations_.size();
  for (const Store& store : stores_) bytes += store.keys.size() + store.values.size();
  return bytes;
}

int64_t KvCache::row_length(size_t layer) const {
  return static_cast<int64_t>(bytes_of_row(config_.layers[layer], options_.type));
}

int64_t KvCache::rows(size_t layer) const {
  return static_cast<int64_t>(stores_[layer].values.size()) / row_length(layer);
}

}  // namespace carat
