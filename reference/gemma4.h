#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/checkpoint.h"

namespace carat {

/// Logits [T, V] of the whole Gemma 4 text model, one row for each of the T token ids: row t scores what
/// follows ids[0..t].
///
/// The slow, plain statement of the mathematics: no cache, no threads, no kernels, every layer's weights
/// decoded when it is reached. Values are stored as float32; every sum is taken in double, or in integers where the
/// model is made for that. The runtime and the trainer are tested against it, and it against other implementations.
///
/// `ids` is not empty, and each id is in [0, V). Without `static_cache` keys and values are not rounded, even where the
/// checkpoint has static scales for them.
std::vector<float> reference_logits(const Checkpoint& checkpoint, std::span<const int32_t> ids,
                                    bool static_cache = true);

}  // namespace carat
