#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "formats/json_fields.h"
#include "formats/model_config.h"
#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::json;

constexpr std::string_view kSliding = "sliding_attention";
constexpr std::string_view kFull = "full_attention";
constexpr const char* kQuantization = "quantization_config";
constexpr const char* kProvenance = "carat_provenance";

// What transformers assumes when a key is missing; the unified model (12B) has values of its own.
struct Defaults {
  int64_t window, context, per_layer_width;
};
constexpr Defaults kDefaults = {.window = 512, .context = 131072, .per_layer_width = 256};
constexpr Defaults kUnifiedDefaults = {.window = 1024, .context = 262144, .per_layer_width = 0};
constexpr int64_t kDefaultFullHeadWidth = 512;
constexpr size_t kDefaultSlidingPeriod = 6;

constexpr std::array<std::string_view, 4> kModelTypes = {"gemma4", "gemma4_text", "gemma4_unified",
                                                         "gemma4_unified_text"};
constexpr std::array<std::string_view, 4> kClasses = {"Gemma4ForCausalLM", "Gemma4ForConditionalGeneration",
                                                      "Gemma4UnifiedForCausalLM",
                                                      "Gemma4UnifiedForConditionalGeneration"};
constexpr const char* kSupported = "supported are the Gemma 4 text models (E2B, E4B, 12B, 26B-A4B, 31B)";

std::string_view attention_name(AttentionType type) { return type == AttentionType::kFull ? kFull : kSliding; }

Status refuse_other_models(const JsonFields& fields) {
  CARAT_TRY(const std::string type, fields.text("model_type"));
  if (std::ranges::find(kModelTypes, type) != kModelTypes.end()) return success();
  if (type.starts_with("gemma4") && type.ends_with("_assistant")) {
    return fields.refusal("model_type", in_quotes(type) + " is a draft model, which drafts for a Gemma 4 model and " +
                                            "cannot run alone; open that model instead");
  }
  return fields.refusal("model_type", "expected gemma4 or gemma4_text, found " + in_quotes(type) + "; " + kSupported);
}

Status refuse_other_classes(const JsonFields& fields) {
  if (!fields.has("architectures")) return success();
  CARAT_TRY(const json* classes, fields.array("architectures"));
  for (const json& name : *classes) {
    if (!name.is_string()) return fields.refusal("architectures", "expected the names of classes");
    const auto& found = name.get_ref<const std::string&>();
    if (std::ranges::find(kClasses, found) != kClasses.end()) continue;
    return fields.refusal("architectures", "expected Gemma4ForCausalLM or Gemma4ForConditionalGeneration, found " +
                                               in_quotes(found) + "; " + kSupported);
  }
  return success();
}

Status refuse_flag(const JsonFields& fields, const char* key, bool supported, const char* what) {
  CARAT_TRY(const bool found, fields.flag(key, supported));
  if (found == supported) return success();
  return fields.refusal(key, std::string(what) + " not supported");
}

/// Quantized checkpoints hold the head beside the embedding; their readers see to it that it is the same.
Status refuse_head_apart(const JsonFields& fields, bool quantized) {
  return quantized ? success() : refuse_flag(fields, "tie_word_embeddings", true, "a head apart from the embedding is");
}

Status refuse_unsupported(const JsonFields& fields, bool quantized) {
  if (fields.has("rope_scaling")) return fields.refusal("rope_scaling", "scaled positions are not supported");
  CARAT_TRY_STATUS(refuse_flag(fields, "attention_bias", false, "biases are"));
  CARAT_TRY_STATUS(refuse_head_apart(fields, quantized));
  CARAT_TRY(const std::string bidirectional, fields.text("use_bidirectional_attention", "vision"));
  if (bidirectional != "vision") {
    return fields.refusal("use_bidirectional_attention", in_quotes(bidirectional) + " is not supported for text");
  }
  CARAT_TRY(const std::string activation, fields.text("hidden_activation", "gelu_pytorch_tanh"));
  if (activation != "gelu_pytorch_tanh") {
    return fields.refusal("hidden_activation", "expected gelu_pytorch_tanh, found " + in_quotes(activation));
  }
  return success();
}

Status read_layer_types(const JsonFields& fields, ModelConfig& config) {
  const size_t count = config.layers.size();
  if (!fields.has("layer_types")) {
    for (size_t i = 0; i < count; ++i) {
      config.layers[i].attention =
          (i + 1) % kDefaultSlidingPeriod == 0 ? AttentionType::kFull : AttentionType::kSliding;
    }
  } else {
    CARAT_TRY(const json* types, fields.array("layer_types"));
    if (types->size() != count) {
      return fields.refusal("layer_types", "expected one entry for each of " + std::to_string(count) +
                                               " layers (num_hidden_layers), found " + std::to_string(types->size()));
    }
    for (size_t i = 0; i < count; ++i) {
      const bool full = (*types)[i] == kFull;
      if (!full && (*types)[i] != kSliding) {
        return fields.refusal("layer_types", "entry " + std::to_string(i) +
                                                 ": expected sliding_attention or full_attention, found " +
                                                 described((*types)[i]));
      }
      config.layers[i].attention = full ? AttentionType::kFull : AttentionType::kSliding;
    }
  }
  config.layers.back().attention = AttentionType::kFull;  // as transformers does, whatever the list says
  return success();
}

Status apply_layer_override(const JsonFields& overrides, LayerConfig& layer) {
  for (const auto& [key, value] : overrides.json().items()) {
    if (key != "head_dim" && key != "num_key_value_heads")
      return overrides.refusal(key, "is not supported for one layer");
  }
  CARAT_TRY(layer.head_width, overrides.integer("head_dim", layer.head_width));
  CARAT_TRY(layer.kv_heads, overrides.integer("num_key_value_heads", layer.kv_heads));
  return success();
}

/// transformers writes all numbers of layers with as many digits as the largest one: "02" beside "11".
bool names_layer(const std::string& key, size_t layer) {
  const std::string number = std::to_string(layer);
  if (key.size() < number.size()) return false;
  const size_t padding = key.size() - number.size();
  return key.find_first_not_of('0') >= padding && key.compare(padding, number.size(), number) == 0;
}

bool names_layers(const std::string& key, size_t layers) {
  if (key == kFull || key == kSliding) return true;
  for (size_t i = 0; i < layers; ++i) {
    if (names_layer(key, i)) return true;
  }
  return false;
}

Status apply_overrides(const JsonFields& per_layer, const std::string& key, LayerConfig& layer) {
  if (!per_layer.has(key.c_str())) return success();
  CARAT_TRY(const JsonFields overrides, per_layer.object(key.c_str()));
  return apply_layer_override(overrides, layer);
}

Status read_per_layer_config(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const JsonFields per_layer, fields.object("per_layer_config"));
  for (const auto& [key, value] : per_layer.json().items()) {
    if (names_layers(key, config.layers.size())) continue;
    return per_layer.refusal(key, "is neither a layer's number nor an attention type; there are " +
                                      std::to_string(config.layers.size()) + " layers (num_hidden_layers)");
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    LayerConfig& layer = config.layers[i];
    CARAT_TRY_STATUS(apply_overrides(per_layer, std::string(attention_name(layer.attention)), layer));
    for (const auto& [key, value] : per_layer.json().items()) {
      if (names_layer(key, i)) CARAT_TRY_STATUS(apply_overrides(per_layer, key, layer));
    }
  }
  return success();
}

/// Head widths and numbers of key-value heads, by the older keys (`global_head_dim`, `num_global_key_value_heads`) or
/// by the newer one, which counts alone where it is there.
Status read_heads(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const int64_t kv_heads, fields.integer("num_key_value_heads"));
  CARAT_TRY(const int64_t head_width, fields.integer("head_dim"));
  CARAT_TRY(const int64_t full_head_width, fields.integer("global_head_dim", kDefaultFullHeadWidth));
  CARAT_TRY(const int64_t full_kv_heads, fields.integer("num_global_key_value_heads", kv_heads));
  CARAT_TRY(const bool value_is_key, fields.flag("attention_k_eq_v", false));
  const bool older_keys = !fields.has("per_layer_config");
  for (LayerConfig& layer : config.layers) {
    const bool full = layer.attention == AttentionType::kFull;
    layer.value_is_key = full && value_is_key;
    layer.kv_heads = layer.value_is_key && older_keys ? full_kv_heads : kv_heads;
    layer.head_width = full && older_keys ? full_head_width : head_width;
  }
  return older_keys ? success() : read_per_layer_config(fields, config);
}

Status read_feed_forward(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const int64_t width, fields.integer("intermediate_size"));
  CARAT_TRY(const bool double_wide, fields.flag("use_double_wide_mlp", false));
  if (width < 1 || width > kWidestFfn) {
    return fields.refusal("intermediate_size",
                          "expected 1 to " + std::to_string(kWidestFfn) + ", found " + std::to_string(width));
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].ffn_width = double_wide && !config.owns_kv(i) ? 2 * width : width;
  }
  return success();
}

Status read_experts(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const bool has_experts, fields.flag("enable_moe_block", false));
  if (!has_experts) return success();
  CARAT_TRY(config.experts, fields.integer("num_experts"));
  CARAT_TRY(config.experts_used, fields.integer("top_k_experts"));
  CARAT_TRY(config.expert_width, fields.integer("moe_intermediate_size"));
  if (config.experts < 1) {
    return fields.refusal("num_experts",
                          "expected 1 or more, as enable_moe_block is true, found " + std::to_string(config.experts));
  }
  return success();
}

Status read_layers(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const int64_t count, fields.integer("num_hidden_layers"));
  if (count < 1 || count > kMostLayers) {
    return fields.refusal("num_hidden_layers",
                          "expected 1 to " + std::to_string(kMostLayers) + ", found " + std::to_string(count));
  }
  config.layers.resize(static_cast<size_t>(count));
  CARAT_TRY_STATUS(read_layer_types(fields, config));
  CARAT_TRY_STATUS(read_heads(fields, config));
  CARAT_TRY(const int64_t shared, fields.integer("num_kv_shared_layers", 0));
  if (auto assigned = assign_kv_layers(config, shared); !assigned.ok()) {
    return fields.refusal("num_kv_shared_layers", assigned.error().message);
  }
  CARAT_TRY_STATUS(read_feed_forward(fields, config));
  return read_experts(fields, config);
}

Status check_rope_type(const JsonFields& rope, const std::string& expected) {
  CARAT_TRY(const std::string type, rope.text("rope_type"));
  if (type != expected) return rope.refusal("rope_type", "expected " + expected + ", found " + in_quotes(type));
  CARAT_TRY(const double factor, rope.number("factor", 1.0));
  if (factor != 1.0) return rope.refusal("factor", "scaled positions are not supported");
  return success();
}

Status read_rope(const JsonFields& fields, ModelConfig& config) {
  if (!fields.has("rope_parameters")) return success();
  CARAT_TRY(const JsonFields parameters, fields.object("rope_parameters"));
  CARAT_TRY(const JsonFields sliding, parameters.object("sliding_attention"));
  CARAT_TRY(const JsonFields full, parameters.object("full_attention"));
  CARAT_TRY_STATUS(check_rope_type(sliding, "default"));
  CARAT_TRY_STATUS(check_rope_type(full, "proportional"));
  CARAT_TRY(const double sliding_fraction, sliding.number("partial_rotary_factor", 1.0));
  if (sliding_fraction != 1.0) return sliding.refusal("partial_rotary_factor", "is not supported in sliding layers");
  CARAT_TRY(config.rope_theta_sliding, sliding.number("rope_theta"));
  CARAT_TRY(config.rope_theta_full, full.number("rope_theta"));
  CARAT_TRY(config.full_rotary_fraction, full.number("partial_rotary_factor", 1.0));
  return success();
}

Status read_scalars(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(config.vocabulary, fields.integer("vocab_size"));
  CARAT_TRY(config.hidden, fields.integer("hidden_size"));
  CARAT_TRY(config.heads, fields.integer("num_attention_heads"));
  CARAT_TRY(const std::string type, fields.text("model_type"));
  const Defaults& defaults = type.starts_with("gemma4_unified") ? kUnifiedDefaults : kDefaults;
  CARAT_TRY(config.per_layer_width, fields.integer("hidden_size_per_layer_input", defaults.per_layer_width));
  CARAT_TRY(config.sliding_window, fields.integer("sliding_window", defaults.window));
  CARAT_TRY(config.context, fields.integer("max_position_embeddings", defaults.context));
  CARAT_TRY(config.rms_epsilon, fields.number("rms_norm_eps", 1e-6));
  CARAT_TRY(config.softcap, fields.number("final_logit_softcapping", 0.0));
  CARAT_TRY(config.scheme, fields.text("carat_scheme", ""));
  CARAT_TRY(const int64_t per_layer_vocabulary, fields.integer("vocab_size_per_layer_input", config.vocabulary));
  if (config.per_layer_width != 0 && per_layer_vocabulary != config.vocabulary) {
    return fields.refusal("vocab_size_per_layer_input", "expected " + std::to_string(config.vocabulary) +
                                                            " (vocab_size), found " +
                                                            std::to_string(per_layer_vocabulary));
  }
  return success();
}

Result<ModelConfig> read_text_config(const JsonFields& fields, bool quantized, const std::string& source) {
  CARAT_TRY_STATUS(refuse_other_models(fields));
  CARAT_TRY_STATUS(refuse_other_classes(fields));
  CARAT_TRY_STATUS(refuse_unsupported(fields, quantized));
  ModelConfig config;
  CARAT_TRY_STATUS(read_scalars(fields, config));
  CARAT_TRY_STATUS(read_layers(fields, config));
  CARAT_TRY_STATUS(read_rope(fields, config));
  if (auto valid = validate(config); !valid.ok()) return refused(source + ": " + valid.error().message);
  return config;
}

/// Composite (`text_config`) or text-only.
Result<ModelConfig> read_config(const JsonFields& top, const std::string& source) {
  if (!top.has("text_config")) return read_text_config(top, top.has(kQuantization), source);
  CARAT_TRY_STATUS(refuse_other_models(top));
  CARAT_TRY_STATUS(refuse_other_classes(top));
  CARAT_TRY(const JsonFields text_config, top.object("text_config"));
  const bool quantized = top.has(kQuantization) || text_config.has(kQuantization);
  CARAT_TRY_STATUS(refuse_head_apart(top, quantized));
  return read_text_config(text_config, quantized, source);
}

}  // namespace

Result<ModelConfig> config_from_json(const std::string& text, const std::string& source) {
  CARAT_TRY(const json root, parse_json_object(text, source));
  const JsonFields top(root, source);
  CARAT_TRY(ModelConfig config, read_config(top, source));
  if (top.has(kProvenance)) {
    CARAT_TRY(config.provenance, provenance_from_json(root[kProvenance], source, kProvenance));
  }
  return config;
}

}  // namespace carat
