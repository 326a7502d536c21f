#include <algorithm>
#include <map>
#include <set>

#include "formats/checkpoint.h"
#include "formats/gemma_quant.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kLayers = "model.layers.";
constexpr const char* kEmbedding = "model.embed_tokens";
constexpr const char* kPerLayerTable = "model.embed_tokens_per_layer";
constexpr const char* kHead = "lm_head";
constexpr int kDefaultBits = 4;

std::string without(const std::string& name, std::string_view ending) {
  return name.substr(0, name.size() - ending.size());
}

bool is_embedding(const std::string& module) { return module == kEmbedding || module == kPerLayerTable; }

bool is_module(const TensorSpec& spec) { return spec.shape.size() == 2 && spec.name.ends_with(kWeight); }

/// Modules of the same bits, which one pattern names: in some layers, or outside of them.
struct Pattern {
  std::set<int64_t> layers;  // empty for modules outside of layers
  std::vector<std::string> modules;
};

/// Bits of every linear layer and embedding; 0 stands for floats.
using ModuleBits = std::map<std::string, int>;

std::string escaped(const std::string& module) {
  std::string pattern;
  for (const char letter : module) pattern += letter == '.' ? std::string("\\.") : std::string(1, letter);
  return pattern;
}

template <typename Range>
std::string alternatives(const Range& items) {
  std::string joined;
  for (const std::string& item : items) joined += (joined.empty() ? "" : "|") + item;
  return items.size() == 1 ? joined : "(" + joined + ")";
}

std::string text_of(const Pattern& pattern) {
  std::vector<std::string> modules;
  for (const std::string& module : pattern.modules) modules.push_back(escaped(module));
  if (pattern.layers.empty()) return alternatives(modules);
  std::vector<std::string> layers;
  for (const int64_t layer : pattern.layers) layers.push_back(std::to_string(layer));
  return escaped(std::string(kLayers)) + alternatives(layers) + "\\." + alternatives(modules);
}

/// Patterns for all modules of these bits; they match whole names, so that none of them matches another's.
std::vector<std::string> patterns_of(const ModuleBits& modules, int bits) {
  std::map<std::string, std::set<int64_t>> layers_of;
  for (const auto& [name, module_bits] : modules) {
    if (module_bits != bits) continue;
    if (!name.starts_with(kLayers)) {
      layers_of[name];
      continue;
    }
    const size_t dot = name.find('.', kLayers.size());
    layers_of[name.substr(dot + 1)].insert(std::stoll(name.substr(kLayers.size(), dot - kLayers.size())));
  }
  std::map<std::set<int64_t>, Pattern> patterns;
  for (const auto& [module, layers] : layers_of) {
    patterns[layers].layers = layers;
    patterns[layers].modules.push_back(module);
  }
  std::vector<std::string> texts;
  for (const auto& [layers, pattern] : patterns) texts.push_back(text_of(pattern));
  return texts;
}

ordered_json quantization_config(const ModuleBits& modules) {
  ordered_json rules = ordered_json::object();
  for (const int bits : {2, 8}) {
    for (const std::string& pattern : patterns_of(modules, bits)) rules["^" + pattern + "$"] = {{"num_bits", bits}};
  }
  const bool embeddings =
      modules.at(kEmbedding) != 0 || (modules.contains(kPerLayerTable) && modules.at(kPerLayerTable) != 0);
  ordered_json config;
  config["quant_method"] = "gemma";
  config["num_bits"] = kDefaultBits;
  config["quantize_embeddings"] = embeddings;
  config["module_quant_configs"] = rules;
  config["modules_to_not_convert"] = patterns_of(modules, 0);
  return config;
}

/// Collects the stored tensors of a folder from those inside Carat.
class GemmaLayout {
 public:
  GemmaLayout(const ModelConfig& config, const std::vector<TensorSpec>& tensors, const TensorProducer& producer)
      : config_(config), tensors_(tensors), producer_(producer) {
    for (const TensorSpec& spec : tensors_) by_name_[spec.name] = &spec;
  }

  Result<FolderLayout> layout() {
    for (const TensorSpec& spec : tensors_) {
      if (spec.shape.empty()) continue;
      CARAT_TRY_STATUS(is_code_type(spec.dtype) ? add_codes(spec) : add_floats(spec));
    }
    add_cache_scales();
    layout_.quantization_config = quantization_config(bits_);
    return std::move(layout_);
  }

 private:
  static constexpr const char* kActivationScales[] = {".input_activation_scale", ".output_activation_scale"};

  Status add_floats(const TensorSpec& spec) {
    layout_.tensors.push_back(float_spec(spec, producer_));
    if (!is_module(spec)) return success();
    const std::string module = without(spec.name, kWeight);
    bits_[module] = 0;
    if (module == kEmbedding) bits_[kHead] = 0;
    for (const char* scale : kActivationScales) {
      if (!by_name_.contains(module + scale)) continue;
      return refused(module + scale +
                     ": a folder of the gemma method has no static quantizers around a layer of floats; "
                     "choose a scheme that quantizes the layer, or leave its quantizers out");
    }
    return success();
  }

  Status add_codes(const TensorSpec& spec) {
    CARAT_TRY_STATUS(check_form(spec));
    const std::string module = without(spec.name, kWeight);
    bits_[module] = code_bits(spec.dtype);
    if (!is_embedding(module)) {
      add_linear(module, spec);
      return success();
    }
    add_packed(module + ".embedding_quantized", spec);
    add_scales(module + ".embedding_scale", spec);
    if (module == kEmbedding) {
      bits_[kHead] = code_bits(spec.dtype);
      add_linear(kHead, spec);
    }
    return success();
  }

  /// What the format has no place for.
  Status check_form(const TensorSpec& spec) const {
    if (!is_module(spec)) {
      return refused(spec.name +
                     ": a folder of the gemma method holds codes of linear layers and embeddings alone; "
                     "choose a scheme that leaves it as floats");
    }
    const bool by_layer = spec.name == std::string(kPerLayerTable) + std::string(kWeight);
    if (spec.scale_groups != 1 && !(by_layer && spec.scale_groups == config_.layer_count())) {
      return refused(spec.name + ": " + std::to_string(spec.scale_groups) +
                     " scales a row, but a folder of the gemma method holds one; choose compressed-tensors");
    }
    CARAT_CHECK(spec.scale_dtype == DType::kF32, "scales as the folder has them");
    return success();
  }

  void add_linear(const std::string& module, const TensorSpec& spec) {
    add_packed(module + ".weight", spec);
    add_scales(module + ".weight_scale", spec);
    for (const char* scale : kActivationScales) add_scalar(module + scale, module + scale);
  }

  void add_packed(std::string name, const TensorSpec& spec) {
    const auto packed = static_cast<int64_t>(row_bytes(spec.dtype, static_cast<uint64_t>(spec.shape[1])).value());
    layout_.tensors.push_back({std::move(name),
                               spec.dtype == DType::kI8 ? "I8" : "U8",
                               {spec.shape[0], packed},
                               static_cast<uint64_t>(spec.shape[0] * packed),
                               producing(spec)});
  }

  void add_scales(std::string name, const TensorSpec& spec) {
    const TensorSpec scales = scales_of(spec);
    layout_.tensors.push_back(
        {std::move(name), "F32", scales.shape, tensor_bytes(DType::kF32, scales.shape).value(), producing(scales)});
  }

  /// The scalar `source` under the name `name`; zero where there is none.
  void add_scalar(std::string name, const std::string& source) {
    const auto found = by_name_.find(source);
    const auto zero = [](const ByteSink& sink) { return sink(std::as_bytes(std::span(&kNoQuantizer, 1))); };
    layout_.tensors.push_back(
        {std::move(name),
         "F32",
         {},
         sizeof(float),
         found == by_name_.end() ? std::function<Status(const ByteSink&)>(zero) : producing(*found->second)});
  }

  std::function<Status(const ByteSink&)> producing(const TensorSpec& spec) const {
    return [spec, &producer = producer_](const ByteSink& sink) { return producer(spec, sink); };
  }

  /// Sharing layers repeat those of the layer whose keys and values they read.
  void add_cache_scales() {
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      for (const char* part : {".self_attn.k_cache_scale", ".self_attn.v_cache_scale"}) {
        const int64_t owner = config_.layers[static_cast<size_t>(layer)].kv_layer;
        const std::string source = std::string(kLayers) + std::to_string(owner) + part;
        if (by_name_.contains(source)) add_scalar(std::string(kLayers) + std::to_string(layer) + part, source);
      }
    }
  }

  static constexpr float kNoQuantizer = 0;

  const ModelConfig& config_;
  const std::vector<TensorSpec>& tensors_;
  const TensorProducer& producer_;
  std::map<std::string, const TensorSpec*> by_name_;
  ModuleBits bits_;
  FolderLayout layout_;
};

}  // namespace

Result<FolderLayout> gemma_quant_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                        const TensorProducer& producer) {
  return GemmaLayout(config, tensors, producer).layout();
}

}  // namespace carat
