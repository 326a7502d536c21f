#include "model/activations.h"

#include <algorithm>

#include "model/cache.h"
#include "ops/linear.h"

namespace carat {
namespace {

constexpr int64_t kLogitFloats = 4 << 20;

// Pieces of keys that the threads can share while a token is decoded: up to 8192 keys.
constexpr int64_t kLeastAttentionRows = 64;

struct Array {
  std::vector<float> Activations::*member;
  int64_t floats;
};

struct IndexArray {
  std::vector<int32_t> Activations::*member;
  int64_t indices;
};

struct Widest {
  int64_t heads = 0;     // H * d
  int64_t kv_heads = 0;  // K * d
  int64_t head = 0;      // d
  int64_t ffn = 0;       // F
};

Widest widest_layer(const ModelConfig& config) {
  Widest widest;
  widest.ffn = config.expert_width;
  for (const LayerConfig& layer : config.layers) {
    widest.heads = std::max(widest.heads, config.heads * layer.head_width);
    widest.kv_heads = std::max(widest.kv_heads, layer.kv_heads * layer.head_width);
    widest.head = std::max(widest.head, layer.head_width);
    widest.ffn = std::max(widest.ffn, layer.ffn_width);
  }
  return widest;
}

int64_t logit_rows_of(const ModelConfig& config, int64_t batch) {
  return std::clamp<int64_t>(kLogitFloats / config.vocabulary, 1, batch);
}

int64_t code_bytes(const ModelConfig& config, int64_t batch) {
  const Widest widest = widest_layer(config);
  return linear_scratch(batch, std::max({config.hidden, widest.heads, widest.ffn, config.per_layer_width}));
}

int64_t rows_for_experts(const ModelConfig& config, int64_t batch) { return config.experts > 0 ? batch : 0; }

std::vector<Array> arrays_of(const ModelConfig& config, int64_t batch) {
  const int64_t T = batch;
  const int64_t per_layer = config.layer_count() * config.per_layer_width;
  const int64_t expert_rows = rows_for_experts(config, batch);
  const Widest widest = widest_layer(config);
  return {
      {&Activations::residual, T * config.hidden},
      {&Activations::normed, T * config.hidden},
      {&Activations::branch, T * config.hidden},
      {&Activations::per_layer_inputs, T * per_layer},
      {&Activations::per_layer_rows, std::min(T, Activations::kRowsAtOnce) * per_layer},
      {&Activations::per_layer_gate, T * config.per_layer_width},
      {&Activations::sliding_rotations, T * widest.head},
      {&Activations::full_rotations, T * widest.head},
      {&Activations::queries, T * widest.heads},
      {&Activations::keys, T * widest.kv_heads},
      {&Activations::values, T * widest.kv_heads},
      {&Activations::attended, T * widest.heads},
      {&Activations::attention_parts, attention_scratch(std::max(T, kLeastAttentionRows), config.heads, widest.head)},
      {&Activations::gate, T * widest.ffn},
      {&Activations::up, T * widest.ffn},
      {&Activations::router_scores, T * config.experts},
      {&Activations::expert_factors, T * config.experts_used},
      {&Activations::visiting_factors, expert_rows},
      {&Activations::expert_rows, expert_rows * config.hidden},
      {&Activations::expert_sum, expert_rows * config.hidden},
  };
}

std::vector<IndexArray> index_arrays_of(const ModelConfig& config, int64_t batch) {
  return {
      {&Activations::chosen_experts, batch * config.experts_used},
      {&Activations::visiting_tokens, rows_for_experts(config, batch)},
  };
}

}  // namespace

Activations::Activations(const ModelConfig& config, int64_t batch) : logit_rows(logit_rows_of(config, batch)) {
  for (const Array& array : arrays_of(config, batch)) (this->*array.member).resize(static_cast<size_t>(array.floats));
  for (const IndexArray& array : index_arrays_of(config, batch)) {
    (this->*array.member).resize(static_cast<size_t>(array.indices));
  }
  codes.resize(static_cast<size_t>(code_bytes(config, batch)));
  logits = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(logit_rows * config.vocabulary));
}

uint64_t activation_bytes(const ModelConfig& config, int64_t batch) {
  auto floats = static_cast<uint64_t>(config.vocabulary);
  for (const Array& array : arrays_of(config, batch)) floats += static_cast<uint64_t>(array.floats);
  uint64_t indices = 0;
  for (const IndexArray& array : index_arrays_of(config, batch)) indices += static_cast<uint64_t>(array.indices);
  return floats * sizeof(float) + indices * sizeof(int32_t) + static_cast<uint64_t>(code_bytes(config, batch));
}

}  // namespace carat
