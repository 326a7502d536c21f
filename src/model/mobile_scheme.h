#pragma once

#include <string>

#include "base/result.h"
#include "formats/model_config.h"
#include "lattice/scheme.h"

namespace carat {

/// The scheme of Google's mobile releases for a model of this shape, "mobile":
///
/// | tensors                                              | codes                          | static quantizers |
/// | embeddings, which are the head's matrix too          | I2, a scale for each row       |                   |
/// | per-layer table                                      | I2, a scale for each row and layer; E2B: I4 |      |
/// | attention                                            | I4, a scale for each row       | input and output  |
/// | feed-forward; I2 where wider than the narrowest      | I4, a scale for each row       | input and output  |
/// | per-layer gate and projection                        | I8, a scale for each row       | input and output  |
/// | the rest: per-layer model projection, vectors        | none, BF16                     |                   |
///
/// and static 8-bit keys and values. Exact for E2B and E4B (transformers: models/gemma4/convert_gemma4_weights.py); the
/// same rules serve any other shape. Refuses models with experts, which have no mobile release, and per-layer widths
/// whose slices are no whole bytes.
Result<Scheme> mobile_scheme(const ModelConfig& config);

/// `mobile_scheme` for the name "mobile", or what `load_scheme(name_or_path)` gives.
Result<Scheme> load_scheme(const std::string& name_or_path, const ModelConfig& config);

/// The names that it knows, for messages: "f32, f16, bf16, q8_0, q4_0, mobile".
std::string scheme_names();

}  // namespace carat
