#include "model/activations.h"

#include <algorithm>

#include "model/cache.h"

namespace carat {
namespace {

constexpr int64_t kLogitFloats = 4 << 20;

struct Array {
  std::vector<float> Activations::*member;
  int64_t floats;
};

struct Widest {
  int64_t heads = 0;     // H * d
  int64_t kv_heads = 0;  // K * d
  int64_t head = 0;      // d
  int64_t ffn = 0;       // F
};

Widest widest_layer(const ModelConfig& config) {
  Widest widest;
  for (const LayerConfig& layer : config.layers) {
    widest.heads = std::max(widest.heads, config.heads * layer.head_width);
    widest.kv_heads = std::max(widest.kv_heads, layer.kv_heads * layer.head_width);
    widest.head = std::max(widest.head, layer.head_width);
    widest.ffn = std::max(widest.ffn, layer.ffn_width);
  }
  return widest;
}

int64_t logit_rows_of(const ModelConfig& config) {
  return std::clamp<int64_t>(kLogitFloats / config.vocabulary, 1, kChunkTokens);
}

std::vector<Array> arrays_of(const ModelConfig& config) {
  constexpr int64_t T = kChunkTokens;
  const int64_t per_layer = config.layer_count() * config.per_layer_width;
  const Widest widest = widest_layer(config);
  return {
      {&Activations::residual, T * config.hidden},
      {&Activations::normed, T * config.hidden},
      {&Activations::branch, T * config.hidden},
      {&Activations::per_layer_inputs, T * per_layer},
      {&Activations::per_layer_rows, T * per_layer},
      {&Activations::per_layer_gate, T * config.per_layer_width},
      {&Activations::sliding_rotations, T * widest.head},
      {&Activations::full_rotations, T * widest.head},
      {&Activations::queries, T * widest.heads},
      {&Activations::keys, T * widest.kv_heads},
      {&Activations::values, T * widest.kv_heads},
      {&Activations::attended, T * widest.heads},
      {&Activations::gate, T * widest.ffn},
      {&Activations::up, T * widest.ffn},
      {&Activations::logits, logit_rows_of(config) * config.vocabulary},
  };
}

}  // namespace

Activations::Activations(const ModelConfig& config) : logit_rows(logit_rows_of(config)) {
  for (const Array& array : arrays_of(config)) (this->*array.member).resize(static_cast<size_t>(array.floats));
}

uint64_t activation_bytes(const ModelConfig& config) {
  uint64_t floats = 0;
  for (const Array& array : arrays_of(config)) floats += static_cast<uint64_t>(array.floats);
  return floats * sizeof(float);
}

}  // namespace carat
