#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "formats/model_config.h"
#include "model/cache.h"

namespace carat {

/// Scratch memory of a forward pass, allocated once. T is the batch, d, F and K are the largest of any layer, F also
/// of the experts; U is the number of experts used for a token. Only `residual`, `per_layer_inputs` and the rotations
/// keep their values from layer to layer.
struct Activations {
  explicit Activations(const ModelConfig& config, int64_t batch = kChunkTokens);

  /// Rows of the per-layer table that are decoded at once, fewer when the batch is smaller.
  static constexpr int64_t kRowsAtOnce = 8;

  int64_t logit_rows;                    // rows of `logits`
  std::vector<float> residual;           // [T, D]        the stream that every sublayer adds to
  std::vector<float> normed;             // [T, D]        input of a sublayer
  std::vector<float> branch;             // [T, D]        output of a sublayer
  std::vector<float> per_layer_inputs;   // [T, L * P]
  std::vector<float> per_layer_rows;     // [kRowsAtOnce, L * P]  some tokens' rows of the per-layer table
  std::vector<float> per_layer_gate;     // [T, P]
  std::vector<float> sliding_rotations;  // [T, d / 2, 2] cosine and sine of every pair's angle
  std::vector<float> full_rotations;     // [T, d / 2, 2]
  std::vector<float> queries;            // [T, H * d]
  std::vector<float> keys;               // [T, K * d]
  std::vector<float> values;             // [T, K * d]
  std::vector<float> attended;           // [T, H * d]
  std::vector<float> attention_parts;    // attention_scratch of T rows or more
  std::vector<float> gate;               // [T, F]
  std::vector<float> up;                 // [T, F]
  std::vector<float> router_scores;      // [T, E]
  std::vector<int8_t> codes;             // linear_scratch of T rows of the widest input
  std::vector<int32_t> chosen_experts;   // [T, U]
  std::vector<float> expert_factors;     // [T, U]        what the output of each chosen expert is multiplied by
  std::vector<int32_t> visiting_tokens;  // [T]           the tokens of one expert
  std::vector<float> visiting_factors;   // [T]
  std::vector<float> expert_rows;        // [T, D]        their inputs, then their outputs
  std::vector<float> expert_sum;         // [T, D]
  std::unique_ptr<float[]> logits;       // [logit_rows, V]; rows that are not used take no memory
};

/// Bytes that `Activations` allocates, one row of logits among them: more are used only by whoever asks for all logits.
uint64_t activation_bytes(const ModelConfig& config, int64_t batch = kChunkTokens);

}  // namespace carat
