#include "formats/gemma_quant.h"

#include <algorithm>
#include <map>
#include <set>

#include "formats/checkpoint.h"
#include "formats/code_scales.h"
#include "formats/gemma_rules.h"
#include "formats/names.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr std::string_view kHead = "lm_head";
constexpr std::string_view kEmbedding = "model.embed_tokens";
constexpr std::string_view kPerLayerTable = "model.embed_tokens_per_layer";
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kActivationScales[] = {"input_activation_scale", "output_activation_scale"};
constexpr std::string_view kCacheScales[] = {"k_cache_scale", "v_cache_scale"};

// Names of modules are short; a longer one is no module that a rule means.
constexpr size_t kLongestModule = 256;
constexpr size_t kMostTensors = 1 << 16;

/// The tensors of a module by the last parts of their names.
struct Module {
  std::string file_name;
  std::map<std::string, const StoredTensor*, std::less<>> parts;

  const StoredTensor* part(std::string_view name) const {
    const auto found = parts.find(name);
    return found == parts.end() ? nullptr : found->second;
  }
};

/// By their names inside Carat.
using Modules = std::map<std::string, Module, std::less<>>;

std::string module_of(const std::string& tensor) { return tensor.substr(0, tensor.rfind('.')); }
std::string part_of(const std::string& tensor) { return tensor.substr(tensor.rfind('.') + 1); }

bool is_of_text(const std::string& module) {
  return is_of_text_model(module + ".") || is_of_text_model(module + std::string(kWeight));
}

bool is_embedding(const std::string& module) { return module == kEmbedding || module == kPerLayerTable; }

Result<Modules> text_modules(const std::vector<StoredTensor>& stored, const std::string& source) {
  Modules modules;
  for (const StoredTensor& tensor : stored) {
    const std::string file_name = module_of(tensor.name);
    const std::string name = text_only_name(tensor.name);
    if (file_name == tensor.name || !is_of_text(module_of(name))) continue;
    Module& module = modules[module_of(name)];
    module.file_name = file_name;
    if (!module.parts.emplace(part_of(name), &tensor).second) {
      return refused(source + ": " + printable(name) + ": is there twice, with and without language_model in its name");
    }
  }
  return modules;
}

/// Who takes the text model alone out of a composite checkpoint may leave the rules for its towers behind.
bool is_of_lost_tower(const std::string& pattern, const std::set<std::string>& modules) {
  for (const char* tower : {"vision", "audio"}) {
    const auto names_it = [&](const std::string& text) { return text.find(tower) != std::string::npos; };
    if (names_it(pattern) && std::none_of(modules.begin(), modules.end(), names_it)) return true;
  }
  return false;
}

Status check_rules_are_used(const GemmaRules& rules, const std::vector<StoredTensor>& stored,
                            const std::string& source) {
  std::set<std::string> modules = {std::string(kHead)};
  for (const StoredTensor& tensor : stored) {
    std::string module = module_of(tensor.name);
    if (module.size() <= kLongestModule) modules.insert(std::move(module));
  }
  size_t characters = 0;
  for (const std::string& module : modules) characters += module.size();
  CARAT_TRY_STATUS(rules.check_effort(characters, source + ": config.json"));
  for (const std::string& pattern : rules.unused_patterns(modules)) {
    if (is_of_lost_tower(pattern, modules)) continue;
    return refused(source + ": config.json: quantization_config.module_quant_configs: the pattern " +
                   in_quotes(pattern) + " matches nothing in the files; they are of another model");
  }
  return success();
}

/// The matrices that transformers quantizes, by their modules: linear layers and embeddings.
std::map<std::string, Shape> quantizable(const ModelConfig& config) {
  std::map<std::string, Shape> matrices;
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (spec.shape.size() == 2 && spec.name.ends_with(kWeight)) matrices[module_of(spec.name)] = spec.shape;
  }
  matrices[std::string(kHead)] = matrices.at(std::string(kEmbedding));
  return matrices;
}

/// Whether the module projects to keys or values that its layer takes from another one.
bool is_of_sharing_layer(const ModelConfig& config, const std::string& module) {
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    if (config.owns_kv(static_cast<size_t>(layer))) continue;
    const std::string attention = "model.layers." + std::to_string(layer) + ".self_attn.";
    if (module == attention + "k_proj" || module == attention + "v_proj") return true;
  }
  return false;
}

DType type_of_bits(int bits) {
  if (bits == 8) return DType::kI8;
  return bits == 4 ? DType::kI4 : DType::kI2;
}

std::string described(const StoredTensor& stored) { return shape_text(stored.shape) + " " + printable(stored.dtype); }

/// Reads the modules of one folder; `source` names it in messages.
class GemmaReader {
 public:
  GemmaReader(const ModelConfig& config, const GemmaRules& rules, const Modules& modules, const std::string& source)
      : config_(config), rules_(rules), modules_(modules), source_(source) {}

  Result<std::vector<NamedTensor>> read() {
    const std::map<std::string, Shape> matrices = quantizable(config_);
    for (const auto& [name, module] : modules_) {
      if (name == kHead || is_of_sharing_layer(config_, name)) continue;
      const auto matrix = matrices.find(name);
      CARAT_TRY_STATUS(matrix == matrices.end() ? add_others(name, module) : add_matrix(name, module, matrix->second));
    }
    CARAT_TRY_STATUS(check_head(matrices.at(std::string(kHead))));
    CARAT_TRY_STATUS(add_cache_scales());
    return std::move(tensors_);
  }

 private:
  std::optional<int> bits_of(const std::string& name, const Module& module) const {
    return is_embedding(name) ? rules_.bits_of_embedding(module.file_name) : rules_.bits_of_linear(module.file_name);
  }

  Status add_matrix(const std::string& name, const Module& module, const Shape& shape) {
    const auto bits = bits_of(name, module);
    if (!bits) return add_floats(name, module);
    CARAT_TRY(NamedTensor codes, codes_of(name, module, *bits, shape));
    tensors_.push_back(std::move(codes));
    return is_embedding(name) ? success() : add_activation_scales(name, module);
  }

  /// A matrix that the rules leave as it is.
  Status add_floats(const std::string& name, const Module& module) {
    for (const auto& [part, stored] : module.parts) {
      if (part == "weight" && float_type(stored->dtype)) continue;
      return refused(source_ + ": " + printable(stored->name) + ": found " + described(*stored) +
                     ", but quantization_config does not quantize " + printable(module.file_name) +
                     "; the rules contradict the files");
    }
    return add_others(name, module);
  }

  Status add_others(const std::string& name, const Module& module) {
    for (const auto& [part, stored] : module.parts) {
      if (std::ranges::find(kCacheScales, part) != std::end(kCacheScales)) continue;
      CARAT_TRY(NamedTensor tensor, float_tensor(*stored, name + "." + part, source_));
      tensors_.push_back(std::move(tensor));
    }
    return success();
  }

  Result<const StoredTensor*> needed(const Module& module, std::string_view part, int bits) const {
    if (const StoredTensor* found = module.part(part)) return found;
    return refused(source_ + ": " + printable(module.file_name) + "." + std::string(part) +
                   " is missing; quantization_config gives the module " + std::to_string(bits) + " bits");
  }

  /// The codes of a module of `shape`, with their scales.
  Result<NamedTensor> codes_of(const std::string& name, const Module& module, int bits, const Shape& shape) const {
    const bool embedding = is_embedding(name);
    CARAT_TRY(const StoredTensor* codes, needed(module, embedding ? "embedding_quantized" : "weight", bits));
    CARAT_TRY(const StoredTensor* scales, needed(module, embedding ? "embedding_scale" : "weight_scale", bits));
    const DType type = type_of_bits(bits);
    const auto packed = row_bytes(type, static_cast<uint64_t>(shape[1]));
    if (!packed) {
      return refused(source_ + ": " + printable(codes->name) + ": rows of " + std::to_string(shape[1]) +
                     " values are no whole number of bytes at " + std::to_string(bits) +
                     " bits, which is not supported");
    }
    const Shape expected = {shape[0], static_cast<int64_t>(*packed)};
    const std::string stored_type = bits == 8 ? "I8" : "U8";
    if (codes->dtype != stored_type || codes->shape != expected) {
      return refused(source_ + ": " + printable(codes->name) + ": quantization_config gives the module " +
                     std::to_string(bits) + " bits, which takes " + shape_text(expected) + " " + stored_type +
                     "; found " + described(*codes) + "; the rules contradict the files");
    }
    CARAT_TRY(const ScaleView view, scales_for(name, *scales, shape[0]));
    return NamedTensor{name + std::string(kWeight), {type, shape, codes->data, view}};
  }

  Result<ScaleView> scales_for(const std::string& name, const StoredTensor& stored, int64_t rows) const {
    const int64_t groups = stored.shape.empty() ? 0 : stored.shape.back();
    const bool by_layer = name == kPerLayerTable;
    const bool fits =
        stored.shape == Shape{rows, groups} && (groups == 1 || (by_layer && groups == config_.layer_count()));
    if (stored.dtype != "F32" || !fits) {
      return refused(source_ + ": " + printable(stored.name) + ": expected " +
                     shape_text({rows, by_layer ? config_.layer_count() : 1}) + " F32, found " + described(stored));
    }
    const ScaleView scales = {DType::kF32, groups, stored.data};
    CARAT_TRY_STATUS(check_scales(stored.name, scales, source_));
    return scales;
  }

  Status add_activation_scales(const std::string& name, const Module& module) {
    for (const auto& [part, stored] : module.parts) {
      if (part == "weight" || part == "weight_scale") continue;
      if (std::ranges::find(kActivationScales, part) == std::end(kActivationScales)) {
        return refused(source_ + ": " + printable(stored->name) +
                       ": a quantized linear layer has no such tensor; the "
                       "file is of another model or in a form that is not supported");
      }
      CARAT_TRY(const float scale, static_scale(*stored, source_));
      if (scale != 0) add_scalar(name + "." + part, *stored);
    }
    return success();
  }

  void add_scalar(std::string name, const StoredTensor& stored) {
    tensors_.push_back({std::move(name), {*float_type(stored.dtype), {}, stored.data}});
  }

  /// The head is the embedding once more; it has quantizers of its own, if any.
  Status check_head(const Shape& shape) {
    const auto head = modules_.find(kHead);
    const auto embedding = modules_.find(kEmbedding);
    if (head == modules_.end() || embedding == modules_.end()) return success();
    const auto bits = bits_of(head->first, head->second);
    if (bits != bits_of(embedding->first, embedding->second)) {
      return differs("quantization_config gives them different widths");
    }
    if (!bits) return compare(head->second, "weight", embedding->second, "weight");
    CARAT_TRY_STATUS(codes_of(head->first, head->second, *bits, shape));
    CARAT_TRY_STATUS(compare(head->second, "weight", embedding->second, "embedding_quantized"));
    CARAT_TRY_STATUS(compare(head->second, "weight_scale", embedding->second, "embedding_scale"));
    return add_activation_scales(std::string(kHead), head->second);
  }

  Status compare(const Module& head, const char* part, const Module& embedding, const char* other) const {
    const StoredTensor* a = head.part(part);
    const StoredTensor* b = embedding.part(other);
    const bool same = a != nullptr && b != nullptr && a->dtype == b->dtype && same_mapped_bytes(a->data, b->data);
    return same ? success() : differs(std::string("lm_head.") + part + " is not embed_tokens." + other);
  }

  Error differs(const std::string& how) const {
    return refused(source_ + ": lm_head and embed_tokens: " + how +
                   "; a head apart from the embedding is not supported");
  }

  /// The scale of a layer's keys or values, 0 where the file has none.
  Result<float> cache_scale(int64_t layer, std::string_view part) const {
    const StoredTensor* stored = cache_scale_tensor(layer, part);
    return stored == nullptr ? Result<float>(0.0f) : static_scale(*stored, source_);
  }

  const StoredTensor* cache_scale_tensor(int64_t layer, std::string_view part) const {
    const auto module = modules_.find("model.layers." + std::to_string(layer) + ".self_attn");
    return module == modules_.end() ? nullptr : module->second.part(part);
  }

  Status add_cache_scales() {
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      for (const std::string_view part : kCacheScales) {
        const StoredTensor* stored = cache_scale_tensor(layer, part);
        if (stored == nullptr) continue;
        CARAT_TRY(const float scale, static_scale(*stored, source_));
        const int64_t owner = config_.layers[static_cast<size_t>(layer)].kv_layer;
        if (owner != layer) {
          CARAT_TRY_STATUS(check_shared_scale(layer, owner, part, scale));
        } else if (scale != 0) {
          add_scalar("model.layers." + std::to_string(layer) + ".self_attn." + std::string(part), *stored);
        }
      }
    }
    return success();
  }

  Status check_shared_scale(int64_t layer, int64_t owner, std::string_view part, float scale) const {
    CARAT_TRY(const float expected, cache_scale(owner, part));
    if (scale == expected) return success();
    return refused(source_ + ": layer " + std::to_string(layer) + " has the " + std::string(part) + " " +
                   number_text(scale) + ", but layer " + std::to_string(owner) +
                   ", whose keys and values it reads, has " + number_text(expected) + "; expected the same");
  }

  const ModelConfig& config_;
  const GemmaRules& rules_;
  const Modules& modules_;
  const std::string& source_;
  std::vector<NamedTensor> tensors_;
};

}  // namespace

Result<std::vector<NamedTensor>> tensors_of_gemma_quant(const std::vector<StoredTensor>& stored,
                                                        const nlohmann::ordered_json& quantization,
                                                        const ModelConfig& config, const std::string& source) {
  if (stored.size() > kMostTensors) {
    return refused(source + ": " + std::to_string(stored.size()) + " tensors, expected at most " +
                   std::to_string(kMostTensors));
  }
  CARAT_TRY(const GemmaRules rules, GemmaRules::read(quantization, source + ": config.json"));
  CARAT_TRY(const Modules modules, text_modules(stored, source));
  CARAT_TRY_STATUS(check_rules_are_used(rules, stored, source));
  return GemmaReader(config, rules, modules, source).read();
}

}  // namespace carat
