#pragma once

#include <map>
#include <string>

#include "base/result.h"
#include "eval/windows.h"
#include "model/model.h"

namespace carat {

/// Finds static scales (`static_scales`, by name) for the input and the output of every linear layer of `model`, the
/// head included, and for the keys and the values of every layer that keeps them, from what they are over the windows
/// of `text`: `Magnitudes::best_scale` of each. Layers that are given the same input get the same scale.
///
/// Static quantizers that the model is run with would limit what is seen: see `ModelSettings`, and the cache type.
Result<std::map<std::string, float>> calibrate(Model& model, const EvalText& text, const WindowOptions& options,
                                               const EvalProgress& progress);

}  // namespace carat
