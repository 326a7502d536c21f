#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/result.h"
#include "base/threads.h"
#include "formats/model_config.h"
#include "formats/vocabulary.h"
#include "lattice/scheme.h"

namespace carat {

/// A model without training: its shape and what fixes its weights.
struct RandomModel {
  ModelConfig config;     ///< valid
  Vocabulary vocabulary;  ///< with as many pieces as the config says
  Scheme scheme;          ///< the lattices that the weights are rounded to
  uint64_t seed = 0;
};

/// What every layer scalar of a random model is.
inline constexpr float kRandomLayerScalar = 0.875f;

/// Called after every piece with the weights written so far and in all; returns whether to go on.
using RandomModelProgress = std::function<bool(uint64_t done, uint64_t total)>;

/// Writes the checkpoint of a random model at `target`, a few megabytes at a time (see `write_checkpoint`), and
/// returns its bytes. A weight depends on the seed, the tensor's name and its place alone: not on threads, nor on
/// the container.
///
/// Matrices are bell-shaped with variance 1 / columns, the rows of the per-layer table with variance 1 / P, so that
/// signals keep their size through the layers. Norm weights are 1, those of keys 1 / sqrt(width) because attention
/// does not scale its scores, layer scalars 0.875, scales of routers and experts 1.
///
/// Integer codes are drawn themselves, over their whole range (`code_distribution`), and each group's scale, within a
/// tenth of what gives the same variance; static scales are those of `random_static_scales`. Only a folder takes codes.
Result<uint64_t> write_random_model(const std::filesystem::path& target, const RandomModel& model, ThreadPool& threads,
                                    const RandomModelProgress& progress);

}  // namespace carat
