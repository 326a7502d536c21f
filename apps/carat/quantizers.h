#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint.h"

namespace carat {

/// Integer codes, static quantizers and scales of a checkpoint, as `carat inspect` shows them.

/// Whether a tensor is a weight, and not what lies beside one: a static scale, the scales of codes.
bool is_weight(const NamedTensor& tensor);

/// "62 for inputs, 62 for outputs, 8 for keys and values"; empty when there are none.
std::string static_scale_summary(const Checkpoint& checkpoint);

/// What a weight has beside it, each part after two spaces: "  one F32 scale a row  in 0.0123, out 0.0456".
std::string beside_weight(const Checkpoint& checkpoint, const NamedTensor& weight);

/// The same as members of `json`.
void add_beside_weight(const Checkpoint& checkpoint, const NamedTensor& weight, nlohmann::ordered_json& json);

/// By name, those that belong to no weight of the file: of keys and values, of the head.
std::map<std::string, float> other_static_scales(const Checkpoint& checkpoint);

/// Four digits: "0.01235".
std::string scale_text(float scale);

/// Reads every tensor and refuses values and scales that are not finite (`check_values`). Returns the names of the
/// large tensors of codes that never use the lowest code.
Result<std::vector<std::string>> check_tensors(const Checkpoint& checkpoint);

}  // namespace carat
