#pragma once

#include <cstdint>

#include "base/result.h"
#include "formats/checkpoint.h"
#include "lattice/scheme.h"
#include "model/cache_scales.h"

namespace carat {

/// What the weights of a model take, in bytes, known before any of them is read. Scales of integer codes count with
/// their codes.
struct ModelSizes {
  ModelConfig config;
  uint64_t weights = 0;             ///< all tensors, the per-layer table among them
  TensorSpec per_layer_table;       ///< as it is stored; no shape where the model has none
  uint64_t read_for_token = 0;      ///< what a token is multiplied with: of experts those used, of tables one row
  uint64_t left_on_disk = 0;        ///< parts of the files that running has no use for: vision, audio, exact scales
  std::vector<CacheScales> scales;  ///< of static 8-bit keys and values, by layer; empty where there are none

  uint64_t per_layer_table_bytes() const;
};

/// The sizes of a file.
ModelSizes sizes_of(const Checkpoint& checkpoint);

/// The sizes that `carat new --scheme` would give a model of this shape: in a folder when the scheme has integer codes,
/// in a GGUF file when it has none. Refuses a scheme whose blocks or groups do not fit the rows.
Result<ModelSizes> sizes_of(const ModelConfig& config, const Scheme& scheme);

}  // namespace carat
