#include <algorithm>
#include <set>
#include <span>
#include <string_view>

#include "base/check.h"
#include "formats/compressed_tensors.h"
#include "formats/scheme_tensors.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kWeightSuffix = ".weight";

// What the file calls a static quantizer's scale.
struct RangeName {
  std::string_view ours;
  std::string_view theirs;
};
constexpr RangeName kRangeNames[] = {{kInputScale, ".input_scale"},
                                     {kOutputScale, ".output_scale"},
                                     {kKeyCacheScale, ".k_scale"},
                                     {kValueCacheScale, ".v_scale"}};

std::string without_suffix(const std::string& name, std::string_view suffix) {
  return name.substr(0, name.size() - suffix.size());
}

/// What the modules of a group have in common.
struct GroupKey {
  DType codes;
  int64_t columns;  ///< that share a scale; 0 for a whole row
  bool input_range;
  bool output_range;

  bool operator==(const GroupKey&) const = default;
};

struct Group {
  GroupKey key;
  std::vector<std::string> modules;
};

ordered_json integer_args(int bits, const char* strategy, const ordered_json& group_size) {
  return {{"num_bits", bits},         {"type", "int"},   {"symmetric", true}, {"strategy", strategy},
          {"group_size", group_size}, {"dynamic", false}};
}

ordered_json range_args(bool there) { return there ? integer_args(8, "tensor", nullptr) : ordered_json(); }

const char* format_of(const GroupKey& key) { return key.codes == DType::kI8 ? "int-quantized" : "pack-quantized"; }

ordered_json group_json(const Group& group) {
  const GroupKey& key = group.key;
  return {
      {"targets", group.modules},
      {"weights", integer_args(code_bits(key.codes), key.columns == 0 ? "channel" : "group",
                               key.columns == 0 ? ordered_json() : ordered_json(key.columns))},
      {"input_activations", range_args(key.input_range)},
      {"output_activations", range_args(key.output_range)},
      {"format", format_of(key)},
  };
}

/// Builds the layout, one tensor of the model after the other.
class CompressedLayout {
 public:
  CompressedLayout(const std::vector<TensorSpec>& tensors, const TensorProducer& producer) : producer_(producer) {
    for (const TensorSpec& tensor : tensors) names_.insert(tensor.name);
  }

  Status add(const TensorSpec& tensor) {
    for (const auto& [ours, theirs] : kRangeNames) {
      if (tensor.name.ends_with(ours)) return add_range(tensor, ours, theirs);
    }
    CARAT_TRY_STATUS(add_weight(tensor, tensor.name));
    // transformers has a head of its own, which it fills from the file.
    return tensor.name == "model.embed_tokens.weight" ? add_weight(tensor, "lm_head.weight") : success();
  }

  Result<FolderLayout> take() {
    for (const std::string& module : ranged_) {
      if (coded_.contains(module)) continue;
      return refused(module +
                     ": has static quantizers, but its weight is no matrix of codes; compressed-tensors cannot " +
                     "hold this");
    }
    if (groups_.empty()) return FolderLayout{std::move(stored_), nullptr};
    ordered_json groups = ordered_json::object();
    std::set<std::string_view> formats;
    for (const Group& group : groups_) {
      groups["group_" + std::to_string(groups.size())] = group_json(group);
      formats.insert(format_of(group.key));
    }
    ordered_json quantization = {
        {"quant_method", "compressed-tensors"},
        {"format", formats.size() == 1 ? *formats.begin() : "mixed-precision"},
        {"quantization_status", "compressed"},
        {"config_groups", std::move(groups)},
        {"ignore", plain_},
        {"kv_cache_scheme", range_args(has_cache_ranges_)},
    };
    return FolderLayout{std::move(stored_), std::move(quantization)};
  }

 private:
  Status add_weight(const TensorSpec& tensor, const std::string& name) {
    if (is_code_type(tensor.dtype)) return add_codes(tensor, name);
    if (block_elements(tensor.dtype) != 1) {
      return refused(name + ": is stored as " + std::string(dtype_name(tensor.dtype)) +
                     ", which a compressed-tensors folder cannot hold; expected floats or the codes I2, I4, I8");
    }
    const bool matrix = tensor.shape.size() == 2 && name.ends_with(kWeightSuffix);
    if (matrix && !name.starts_with("model.embed_tokens")) plain_.push_back(without_suffix(name, kWeightSuffix));
    store(name, std::string(dtype_name(tensor.dtype)), tensor.shape, tensor);
    return success();
  }

  Status add_codes(const TensorSpec& tensor, const std::string& name) {
    const bool matrix = tensor.shape.size() == 2 && name.ends_with(kWeightSuffix);
    if (!matrix || (tensor.dtype != DType::kI2 && tensor.dtype != DType::kI4 && tensor.dtype != DType::kI8)) {
      return refused(name + ": " + shape_text(tensor.shape) + " " + std::string(dtype_name(tensor.dtype)) +
                     " cannot be stored as compressed-tensors; expected a linear layer's or an embedding's matrix of "
                     "I2, I4 or I8");
    }
    const std::string module = without_suffix(name, kWeightSuffix);
    if (tensor.dtype == DType::kI8) {
      store(name, "I8", tensor.shape, tensor);
    } else {
      CARAT_TRY_STATUS(store_packed(tensor, module));
    }
    const TensorSpec scales = scales_of(tensor);
    store(module + ".weight_scale", std::string(dtype_name(scales.dtype)), scales.shape, scales);
    const int64_t columns = tensor.scale_groups == 1 ? 0 : tensor.shape[1] / tensor.scale_groups;
    join(module, {tensor.dtype, columns, names_.contains(module + std::string(kInputScale)),
                  names_.contains(module + std::string(kOutputScale))});
    return success();
  }

  /// Our codes are the bytes of the words, where they fill them.
  Status store_packed(const TensorSpec& tensor, const std::string& module) {
    const int64_t per_word = 32 / code_bits(tensor.dtype);
    if (tensor.shape[1] % per_word != 0) {
      return refused(module + ": rows of " + std::to_string(tensor.shape[1]) + " codes of " +
                     std::to_string(code_bits(tensor.dtype)) +
                     " bits do not fill whole words; expected a multiple of " + std::to_string(per_word));
    }
    store(module + ".weight_packed", "I32", {tensor.shape[0], tensor.shape[1] / per_word}, tensor);
    const auto produce_shape = [shape = tensor.shape](const ByteSink& sink) {
      return sink(std::as_bytes(std::span(shape)));
    };
    stored_.push_back({module + ".weight_shape", "I64", {2}, 2 * sizeof(int64_t), produce_shape});
    return success();
  }

  Status add_range(const TensorSpec& tensor, std::string_view ours, std::string_view theirs) {
    const std::string module = without_suffix(tensor.name, ours);
    const bool of_cache = ours == kKeyCacheScale || ours == kValueCacheScale;
    has_cache_ranges_ = has_cache_ranges_ || of_cache;
    store(module + std::string(theirs), "F32", {1}, tensor);
    if (!of_cache) ranged_.push_back(module);
    return success();
  }

  /// `source` is what the producer is asked for.
  void store(std::string name, std::string dtype, Shape shape, const TensorSpec& source) {
    const auto bytes = tensor_bytes(source.dtype, source.shape);
    CARAT_CHECK(bytes.has_value(), "a tensor whose size fits");
    const auto produce = [producer = producer_, source](const ByteSink& sink) { return producer(source, sink); };
    stored_.push_back({std::move(name), std::move(dtype), std::move(shape), *bytes, produce});
  }

  void join(const std::string& module, const GroupKey& key) {
    auto group = std::ranges::find(groups_, key, &Group::key);
    if (group == groups_.end()) group = groups_.insert(group, {key, {}});
    group->modules.push_back(module);
    coded_.insert(module);
  }

  const TensorProducer& producer_;
  std::set<std::string> names_;  // of all tensors
  std::vector<StoredSpec> stored_;
  std::vector<Group> groups_;
  std::set<std::string> coded_;      // modules whose weights are codes
  std::vector<std::string> plain_;   // linear layers of floats
  std::vector<std::string> ranged_;  // modules with static quantizers
  bool has_cache_ranges_ = false;
};

}  // namespace

Result<FolderLayout> compressed_tensors_layout(const ModelConfig&, const std::vector<TensorSpec>& tensors,
                                               const TensorProducer& producer) {
  CompressedLayout layout(tensors, producer);
  for (const TensorSpec& tensor : tensors) CARAT_TRY_STATUS(layout.add(tensor));
  return layout.take();
}

}  // namespace carat
