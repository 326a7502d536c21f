#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/result.h"

namespace carat {

/// How a module's weight is stored: codes of so many bits, a scale and a bias for each group of neighbouring columns.
struct MlxCodes {
  int64_t bits = 0;     ///< 2, 3, 4, 5, 6 or 8
  int64_t columns = 0;  ///< of a group: 32, 64 or 128

  bool operator==(const MlxCodes&) const = default;
};

/// The member `quantization` of an MLX folder's config.json (mlx-lm: utils.py, `load_model`; mlx: ops.cpp, `quantize`):
///
///     {"group_size": 32, "bits": 4, "mode": "affine",
///      "model.layers.0.router.proj": {"group_size": 64, "bits": 8}, "model.layers.3.mlp.up_proj": false}
///
/// A module has codes when the file has scales for it. They are stored as the first line says, or as the member of the
/// module's own name does; false says that it has none.
class MlxRules {
 public:
  /// `source` names the member in messages. Refuses, by name, other modes than "affine", group sizes and widths that
  /// MLX does not have, and members of which it is not known what they mean.
  static Result<MlxRules> read(const nlohmann::ordered_json& quantization, const std::string& source);

  /// How the codes of this module of the file are stored; nothing when it is said to have none.
  std::optional<MlxCodes> codes_of(const std::string& module) const;

  /// Whether the module is said by name to have codes.
  bool asks_for_codes(const std::string& module) const;

 private:
  MlxCodes most_;
  std::unordered_map<std::string, std::optional<MlxCodes>> named_;
};

}  // namespace carat
