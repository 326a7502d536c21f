#pragma once

#include <cstdint>

#include "model/cache.h"
#include "session/model_sizes.h"

namespace carat {

/// What a process takes without any model's numbers, in bytes.
struct ProcessBytes {
  uint64_t program = 0;     ///< program, libraries, stacks
  uint64_t vocabulary = 0;  ///< the vocabulary's texts and the tokenizer's tables
};

/// What running a model takes, in bytes.
struct MemoryPlan {
  uint64_t weights_mapped = 0;   ///< tensors in mapped files; the system loads pages when touched and may drop them
  uint64_t per_layer_table = 0;  ///< part of `weights_mapped` that stays on disk: its rows are read by position
  uint64_t per_layer_rows = 0;   ///< the rows of that table that are kept
  uint64_t weights_decoded = 0;  ///< norm weights, as float32
  CacheBytes kv_cache;           ///< when all positions of the context are used
  uint64_t activations = 0;
  uint64_t sampling = 0;      ///< the sampler's arrays, and the ids of the conversation
  uint64_t drafter = 0;       ///< none is loaded yet
  uint64_t left_on_disk = 0;  ///< vision, audio, exact scales: in the files, never mapped into use
  ProcessBytes process;

  /// What is in memory of the weights when all of them have been used.
  uint64_t weights_resident() const { return weights_mapped - per_layer_table + weights_decoded; }
  /// What is in memory when all positions have been used: what the system counts as the peak.
  uint64_t total() const;
};

/// The plan for `context` positions, and a model and a cache with the batch and the type of `options`. Its figures come
/// from the functions that size the allocations themselves. All experts of a layer count as used.
MemoryPlan plan_memory(const ModelSizes& sizes, const ProcessBytes& process, int64_t context,
                       const CacheOptions& options);

/// Bytes of keys and values that attention reads for the token after `position` others, with a cache of this type.
/// Layers that share keys and values read them each.
uint64_t key_value_bytes_read(const ModelConfig& config, int64_t position, DType type);

/// What a program of `threads` threads takes that holds `held` bytes before it opens a model (`held_bytes`).
uint64_t program_bytes(uint64_t held, int threads);

/// About what a vocabulary of so many pieces and its tokenizer take, where there is no file to measure.
uint64_t typical_vocabulary_bytes(int64_t pieces);

}  // namespace carat
