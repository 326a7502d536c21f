#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "tensor/dtype.h"

namespace carat {

/// What a module with a weight matrix is to PyTorch; rules may name it.
enum class ModuleClass : uint8_t { kLinear, kEmbedding };

/// How the modules of one group are stored: symmetric integer codes with static scales.
struct CompressedGroup {
  std::string name;
  DType codes = DType::kI4;   ///< I2 and I4 are stored "pack-quantized", I8 "int-quantized"
  int64_t columns = 0;        ///< that share a scale; 0 means a whole row
  bool input_range = false;   ///< inputs go through a static 8-bit quantizer
  bool output_range = false;  ///< outputs do
};

/// Module names, exact or `re:PATTERN`, and class names, as `targets` and `ignore` have them. A pattern has to match
/// from the first character of a name and may end before its last, as Python's re.match does (compressed-tensors:
/// utils/match.py).
class ModuleNames {
 public:
  /// Adds a name for `group`; the same name for another group takes its place. Refuses a pattern that RE2 cannot
  /// express, and more patterns than any checkpoint has.
  Status add(const std::string& name, size_t group, const std::string& place);

  /// The group of a module: that of its exact name, or of the first pattern that matches, or of the first class name;
  /// patterns are in the order of their text. Null when nothing matches.
  const size_t* find(const std::string& module, ModuleClass module_class) const;

  /// Of all patterns together, as `check_pattern_effort` counts them.
  uint64_t instructions() const;

 private:
  struct Pattern {
    std::unique_ptr<RE2> regex;
    size_t group;
  };

  std::map<std::string, size_t> names_;
  std::map<std::string, Pattern> patterns_;
};

/// The `quantization_config` of a compressed-tensors checkpoint: which module is stored how.
class CompressedRules {
 public:
  /// `place` stands at the head of messages: "config.json: quantization_config". Refuses, by name, what the
  /// compressed-tensors package refuses, and what it knows but Carat does not support: other than symmetric integers of
  /// 2, 4 or 8 bits, one scale for a whole tensor, dynamic activations, sparsity, transforms.
  static Result<CompressedRules> read(const nlohmann::ordered_json& quantization, const std::string& place);

  /// The group of a module, by the name that the file gives it; null when none has it as a target, or it is ignored.
  const CompressedGroup* group_of(const std::string& module, ModuleClass module_class) const;

  /// What `group_of` takes for one name, as `check_pattern_effort` counts it.
  uint64_t instructions() const { return targets_.instructions() + ignored_.instructions(); }

  const std::vector<CompressedGroup>& groups() const { return groups_; }

  /// Whether keys and values go through static 8-bit quantizers.
  bool quantizes_cache() const { return quantizes_cache_; }

 private:
  std::vector<CompressedGroup> groups_;
  ModuleNames targets_;
  ModuleNames ignored_;
  bool quantizes_cache_ = false;
};

}  // namespace carat
