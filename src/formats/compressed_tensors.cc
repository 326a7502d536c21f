#include "formats/compressed_tensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "formats/code_scales.h"
#include "formats/compressed_tensors_rules.h"
#include "formats/head_beside.h"
#include "formats/names.h"
#include "formats/pattern_effort.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr int64_t kWordBits = 32;

enum Member { kWeight, kPacked, kScale, kShape, kInput, kOutput, kKeys, kValues, kMembers };

constexpr std::string_view kMemberNames[kMembers] = {"weight",      "weight_packed", "weight_scale", "weight_shape",
                                                     "input_scale", "output_scale",  "k_scale",      "v_scale"};

// Of what is refused in the configuration, or would be.
constexpr std::string_view kRefusedMembers[] = {
    "weight_zero_point",   "weight_g_idx",   "weight_global_scale", "input_zero_point", "input_global_scale",
    "output_zero_point",   "k_zero_point",   "v_zero_point",        "q_scale",          "q_zero_point",
    "output_global_scale", "k_global_scale", "v_global_scale",      "q_global_scale",
};

/// The tensors of one module of the file, null where it has none.
struct StoredModule {
  std::string name;  ///< the file's own
  std::array<const StoredTensor*, kMembers> members{};

  const StoredTensor* operator[](Member member) const { return members[member]; }
  std::string text_name() const { return text_only_name(name); }
  bool is_of_text() const { return is_of_text_model(text_name() + ".weight"); }

  ModuleClass module_class() const {
    const bool embeds = name.ends_with("embed_tokens") || name.ends_with("embed_tokens_per_layer");
    return embeds ? ModuleClass::kEmbedding : ModuleClass::kLinear;
  }
};

std::string described(const StoredTensor& tensor) { return shape_text(tensor.shape) + " " + printable(tensor.dtype); }

/// Sorts the tensors of a file into modules, and reads those of the text model.
class CompressedReader {
 public:
  CompressedReader(const CompressedRules& rules, const ModelConfig& config, const std::string& source)
      : rules_(rules), config_(config), source_(source) {
    for (size_t layer = 0; layer < config.layers.size(); ++layer) {
      if (config.owns_kv(layer)) continue;
      for (const char* projection : {".k_proj", ".v_proj"}) unused_.insert(attention(layer) + projection);
    }
  }

  Result<std::vector<NamedTensor>> read(const std::vector<StoredTensor>& stored) {
    for (const StoredTensor& tensor : stored) CARAT_TRY_STATUS(sort(tensor));
    CARAT_TRY_STATUS(check_effort());
    CARAT_TRY_STATUS(check_groups());
    for (const StoredModule& module : modules_) {
      if (!module.is_of_text() || unused_.contains(module.text_name())) continue;
      CARAT_TRY_STATUS(add_module(module));
    }
    CARAT_TRY_STATUS(add_cache_scales());
    return tensors_.take(source_);
  }

 private:
  static std::string attention(size_t layer) { return "model.layers." + std::to_string(layer) + ".self_attn"; }

  Error refusal(const StoredTensor& tensor, const std::string& message) const {
    return refused(source_ + ": " + printable(tensor.name) + ": " + message);
  }

  Status sort(const StoredTensor& tensor) {
    const std::string_view name = tensor.name;
    const size_t dot = name.rfind('.');
    const std::string_view last = dot == name.npos ? name : name.substr(dot + 1);
    const auto member = std::ranges::find(kMemberNames, last);
    if (dot != name.npos && member != std::end(kMemberNames)) {
      const StoredTensor*& place = module_of(name.substr(0, dot)).members[static_cast<size_t>(member - kMemberNames)];
      if (place != nullptr) return refusal(tensor, "is there twice");
      place = &tensor;
      return success();
    }
    std::string text_name = text_only_name(name);
    if (!is_of_text_model(text_name)) return success();
    if (std::ranges::find(kRefusedMembers, last) != std::end(kRefusedMembers)) {
      return refusal(tensor,
                     "is of a kind of quantization that is not supported; expected symmetric codes with "
                     "scales alone");
    }
    CARAT_TRY(NamedTensor values, float_tensor(tensor, std::move(text_name), source_));
    tensors_.add(std::move(values));
    return success();
  }

  StoredModule& module_of(std::string_view name) {
    const auto [entry, added] = module_index_.emplace(name, modules_.size());
    if (added) modules_.push_back({std::string(name), {}});
    return modules_[entry->second];
  }

  /// The group of a module that has a matrix; null for others.
  const CompressedGroup* group_of(const StoredModule& module) const {
    const StoredTensor* weight = module[kPacked] != nullptr ? module[kPacked] : module[kWeight];
    if (weight == nullptr || weight->shape.size() != 2) return nullptr;
    return rules_.group_of(module.name, module.module_class());
  }

  /// Each module is looked up when the groups are checked, and when it is read.
  Status check_effort() const {
    size_t characters = 0;
    for (const StoredModule& module : modules_) characters += module.name.size();
    return check_pattern_effort(2 * rules_.instructions(), characters, source_ + ": quantization_config");
  }

  /// A group that nothing belongs to was written for another model.
  Status check_groups() const {
    std::unordered_set<const CompressedGroup*> used;
    for (const StoredModule& module : modules_) {
      if (used.size() == rules_.groups().size()) break;
      if (const CompressedGroup* group = group_of(module)) used.insert(group);
    }
    for (const CompressedGroup& group : rules_.groups()) {
      if (used.contains(&group)) continue;
      return refused(source_ + ": quantization_config.config_groups." + printable(group.name) +
                     ".targets: match no matrix of the file; the configuration is of another model");
    }
    return success();
  }

  Status add_module(const StoredModule& module) {
    const CompressedGroup* group = group_of(module);
    for (const Member which : {kKeys, kValues}) {
      if (module[which] != nullptr) CARAT_TRY_STATUS(take_cache_scale(module, which));
    }
    const bool has_codes = module[kPacked] != nullptr || (module[kWeight] != nullptr && module[kWeight]->dtype == "I8");
    if (has_codes) return add_codes(module, group);
    for (const Member other : {kScale, kShape, kInput, kOutput}) {
      if (module[other] != nullptr) return refusal(*module[other], "belongs to a weight of codes, which is missing");
    }
    if (module[kWeight] == nullptr) return success();
    if (group != nullptr) {
      return refusal(*module[kWeight], "found " + described(*module[kWeight]) + ", but " + in_quotes(group->name) +
                                           " of config_groups has it as codes of " +
                                           std::to_string(code_bits(group->codes)) + " bits");
    }
    CARAT_TRY(NamedTensor values, float_tensor(*module[kWeight], module.text_name() + ".weight", source_));
    tensors_.add(std::move(values));
    return success();
  }

  Status add_codes(const StoredModule& module, const CompressedGroup* group) {
    const StoredTensor& stored = module[kPacked] != nullptr ? *module[kPacked] : *module[kWeight];
    if (module[kPacked] != nullptr && module[kWeight] != nullptr) {
      return refusal(stored, "is there beside weight; expected one of them");
    }
    if (group == nullptr) {
      return refusal(stored, "no group of config_groups has it as a target; expected one that says how it is stored");
    }
    const bool packed = group->codes != DType::kI8;
    if (packed != (module[kPacked] != nullptr)) {
      return refusal(stored, "found " + described(stored) + ", but " + in_quotes(group->name) + " has codes of " +
                                 std::to_string(code_bits(group->codes)) + " bits; expected " +
                                 std::string(kMemberNames[packed ? kPacked : kWeight]));
    }
    CARAT_TRY(NamedTensor codes, packed ? unpacked(module, *group) : plain_codes(module));
    CARAT_TRY(codes.view.scales, scales_of(module, *group, codes.view));
    CARAT_TRY_STATUS(check_scales(codes.name, codes.view.scales, source_, ScaleSigns::kBoth));
    CARAT_TRY_STATUS(add_range(module, kInput, group->input_range, kInputScale));
    CARAT_TRY_STATUS(add_range(module, kOutput, group->output_range, kOutputScale));
    tensors_.add(std::move(codes));
    return success();
  }

  /// The words of a row are the bytes of our codes where they fill them.
  Result<NamedTensor> unpacked(const StoredModule& module, const CompressedGroup& group) const {
    const StoredTensor& words = *module[kPacked];
    if (words.dtype != "I32" || words.shape.size() != 2) {
      return refusal(words, "found " + described(words) + ", expected a matrix of I32");
    }
    CARAT_TRY(const Shape shape, shape_of(module));
    const int64_t per_word = kWordBits / code_bits(group.codes);
    if (shape[0] != words.shape[0] || (shape[1] + per_word - 1) / per_word != words.shape[1]) {
      return refusal(words, "found " + described(words) + ", which does not hold " + shape_text(shape) + " codes of " +
                                std::to_string(code_bits(group.codes)) + " bits");
    }
    if (shape[1] % per_word != 0) {
      return refusal(words, "rows of " + std::to_string(shape[1]) + " codes do not fill whole words, expected a " +
                                "multiple of " + std::to_string(per_word) + "; such files are not supported");
    }
    return NamedTensor{module.text_name() + ".weight", {group.codes, shape, words.data}};
  }

  /// What weight_shape says: two extents that are not so large that rounding them up would overflow.
  Result<Shape> shape_of(const StoredModule& module) const {
    if (module[kShape] == nullptr) return refusal(*module[kPacked], "weight_shape is missing");
    const StoredTensor& stored = *module[kShape];
    if (stored.dtype != "I64" || stored.shape != Shape{2}) {
      return refusal(stored, "found " + described(stored) + ", expected [2] I64");
    }
    Shape shape(2);
    std::memcpy(shape.data(), stored.data.data(), stored.data.size());
    constexpr int64_t kMostExtent = int64_t{1} << 40;
    if (shape[0] < 1 || shape[1] < 1 || shape[0] > kMostExtent || shape[1] > kMostExtent) {
      return refusal(stored, "found " + shape_text(shape) + ", expected rows and columns of a matrix");
    }
    return shape;
  }

  Result<NamedTensor> plain_codes(const StoredModule& module) const {
    const StoredTensor& stored = *module[kWeight];
    if (stored.shape.size() != 2) return refusal(stored, "found " + described(stored) + ", expected a matrix");
    if (module[kShape] != nullptr) return refusal(*module[kShape], "belongs to packed codes, which weight is not");
    return NamedTensor{module.text_name() + ".weight", {DType::kI8, stored.shape, stored.data}};
  }

  Result<ScaleView> scales_of(const StoredModule& module, const CompressedGroup& group, const TensorView& codes) const {
    if (module[kScale] == nullptr) {
      return refused(source_ + ": " + printable(module.name) + ": weight_scale is missing");
    }
    const StoredTensor& stored = *module[kScale];
    const int64_t columns = group.columns == 0 ? codes.columns() : group.columns;
    if (codes.columns() % columns != 0) {
      return refusal(stored, "groups of " + std::to_string(columns) + " columns do not divide rows of " +
                                 std::to_string(codes.columns()));
    }
    const Shape expected = {codes.rows(), codes.columns() / columns};
    const auto dtype = float_type(stored.dtype);
    if (stored.shape != expected || (dtype != DType::kF32 && dtype != DType::kBF16)) {
      return refusal(stored, "found " + described(stored) + ", expected " + shape_text(expected) + " F32 or BF16");
    }
    return ScaleView{*dtype, expected[1], stored.data};
  }

  /// A scale of a static quantizer; nothing when it is 0, which stands for no quantizer.
  Result<std::optional<NamedTensor>> range(const StoredTensor& stored, std::string name) const {
    CARAT_TRY(const float value, static_scale(stored, source_));
    if (value == 0.0f) return std::optional<NamedTensor>();
    return std::optional<NamedTensor>({std::move(name), {*float_type(stored.dtype), {}, stored.data}});
  }

  Status add_range(const StoredModule& module, Member which, bool expected, std::string_view suffix) {
    const StoredTensor* stored = module[which];
    if (stored == nullptr) return success();
    if (!expected) return refusal(*stored, "the module's group of config_groups has no such activations");
    CARAT_TRY(std::optional<NamedTensor> scale, range(*stored, module.text_name() + std::string(suffix)));
    if (scale) tensors_.add(*std::move(scale));
    return success();
  }

  Status take_cache_scale(const StoredModule& module, Member which) {
    const StoredTensor& stored = *module[which];
    if (!rules_.quantizes_cache()) return refusal(stored, "is there, but kv_cache_scheme is null");
    const std::string name = module.text_name() + std::string(which == kKeys ? kKeyCacheScale : kValueCacheScale);
    CARAT_TRY(std::optional<NamedTensor> scale, range(stored, name));
    if (scale) cache_scales_.emplace(name, *std::move(scale));
    return success();
  }

  /// Those of layers that own their keys and values; the others may only repeat them.
  Status add_cache_scales() {
    for (size_t layer = 0; layer < config_.layers.size(); ++layer) {
      for (const auto& which : {std::string(kKeyCacheScale), std::string(kValueCacheScale)}) {
        const auto found = cache_scales_.find(attention(layer) + which);
        if (found == cache_scales_.end()) continue;
        if (config_.owns_kv(layer)) {
          tensors_.add(found->second);
          continue;
        }
        const auto owner = cache_scales_.find(attention(static_cast<size_t>(config_.layers[layer].kv_layer)) + which);
        const bool same =
            owner != cache_scales_.end() && std::ranges::equal(owner->second.view.data, found->second.view.data);
        if (same) continue;
        return refused(source_ + ": " + found->first + ": differs from that of layer " +
                       std::to_string(config_.layers[layer].kv_layer) + ", whose keys and values this layer reads");
      }
    }
    return success();
  }

  const CompressedRules& rules_;
  const ModelConfig& config_;
  const std::string& source_;
  std::vector<StoredModule> modules_;
  std::unordered_map<std::string, size_t> module_index_;
  std::unordered_set<std::string> unused_;  // modules of layers that share keys and values
  std::map<std::string, NamedTensor> cache_scales_;
  HeadBeside tensors_;
};

}  // namespace

Result<std::vector<NamedTensor>> tensors_of_compressed(const std::vector<StoredTensor>& stored,
                                                       const nlohmann::ordered_json& quantization,
                                                       const ModelConfig& config, const std::string& source) {
  CARAT_TRY(const CompressedRules rules, CompressedRules::read(quantization, source + ": quantization_config"));
  return CompressedReader(rules, config, source).read(stored);
}

}  // namespace carat
