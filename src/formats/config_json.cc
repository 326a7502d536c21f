#include <nlohmann/json.hpp>

#include "formats/common_value.h"
#include "formats/json_fields.h"
#include "formats/model_config.h"
#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::string_view kSliding = "sliding_attention";
constexpr std::string_view kFull = "full_attention";

// What transformers assumes when a key is missing.
constexpr int64_t kDefaultWindow = 512;
constexpr int64_t kDefaultContext = 131072;
constexpr int64_t kDefaultFullHeadWidth = 512;
constexpr int64_t kDefaultPerLayerWidth = 256;
constexpr int64_t kDefaultSlidingPeriod = 6;

std::string_view attention_name(AttentionType type) { return type == AttentionType::kFull ? kFull : kSliding; }

Status refuse_other_models(const JsonFields& fields) {
  CARAT_TRY(const std::string type, fields.text("model_type"));
  if (type == "gemma4" || type == "gemma4_text") return success();
  return fields.refusal(
      "model_type", "expected gemma4 or gemma4_text, found " + in_quotes(type) + "; other models are not supported");
}

Status refuse_flag(const JsonFields& fields, const char* key, bool supported, const char* what) {
  CARAT_TRY(const bool found, fields.flag(key, supported));
  if (found == supported) return success();
  return fields.refusal(key, std::string(what) + " not supported");
}

Status refuse_unsupported(const JsonFields& fields) {
  CARAT_TRY_STATUS(refuse_flag(fields, "enable_moe_block", false, "mixtures of experts are"));
  CARAT_TRY_STATUS(refuse_flag(fields, "attention_k_eq_v", false, "keys used as values are"));
  CARAT_TRY_STATUS(refuse_flag(fields, "attention_bias", false, "biases are"));
  CARAT_TRY_STATUS(refuse_flag(fields, "tie_word_embeddings", true, "a head apart from the embedding is"));
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
        return fields.refusal("layer_types",
                              "entry " + std::to_string(i) + ": expected sliding_attention or full_attention");
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

Status read_per_layer_config(const JsonFields& fields, ModelConfig& config) {
  CARAT_TRY(const JsonFields per_layer, fields.object("per_layer_config"));
  size_t known = 0;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    for (const std::string& key : {std::string(attention_name(config.layers[i].attention)), std::to_string(i)}) {
      if (!per_layer.has(key.c_str())) continue;
      CARAT_TRY(const JsonFields overrides, per_layer.object(key.c_str()));
      CARAT_TRY_STATUS(apply_layer_override(overrides, config.layers[i]));
    }
    known += per_layer.json().contains(std::to_string(i)) ? 1 : 0;
  }
  known += per_layer.json().contains(kFull) + per_layer.json().contains(kSliding);
  if (known != per_layer.json().size()) {
    return fields.refusal("per_layer_config", "has a key that is neither a layer's number nor an attention type");
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
  CARAT_TRY(const int64_t kv_heads, fields.integer("num_key_value_heads"));
  CARAT_TRY(const int64_t head_width, fields.integer("head_dim"));
  CARAT_TRY(const int64_t full_head_width, fields.integer("global_head_dim", kDefaultFullHeadWidth));
  CARAT_TRY(const int64_t ffn_width, fields.integer("intermediate_size"));
  CARAT_TRY(const bool double_wide, fields.flag("use_double_wide_mlp", false));
  CARAT_TRY(const int64_t shared, fields.integer("num_kv_shared_layers", 0));
  if (ffn_width < 1 || ffn_width > kWidestFfn) {
    return fields.refusal("intermediate_size",
                          "expected 1 to " + std::to_string(kWidestFfn) + ", found " + std::to_string(ffn_width));
  }
  const bool separate_full_width = !fields.has("per_layer_config");
  for (LayerConfig& layer : config.layers) {
    const bool full = layer.attention == AttentionType::kFull;
    layer.kv_heads = kv_heads;
    layer.head_width = full && separate_full_width ? full_head_width : head_width;
  }
  if (fields.has("per_layer_config")) CARAT_TRY_STATUS(read_per_layer_config(fields, config));
  if (auto assigned = assign_kv_layers(config, shared); !assigned.ok()) {
    return fields.refusal("num_kv_shared_layers", assigned.error().message);
  }
  for (size_t i = 0; i < config.layers.size(); ++i) {
    config.layers[i].ffn_width = double_wide && !config.owns_kv(i) ? 2 * ffn_width : ffn_width;
  }
  return success();
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
  CARAT_TRY(config.per_layer_width, fields.integer("hidden_size_per_layer_input", kDefaultPerLayerWidth));
  CARAT_TRY(config.sliding_window, fields.integer("sliding_window", kDefaultWindow));
  CARAT_TRY(config.context, fields.integer("max_position_embeddings", kDefaultContext));
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

Result<ModelConfig> read_text_config(const JsonFields& fields, const std::string& source) {
  CARAT_TRY_STATUS(refuse_other_models(fields));
  CARAT_TRY_STATUS(refuse_unsupported(fields));
  ModelConfig config;
  CARAT_TRY_STATUS(read_scalars(fields, config));
  CARAT_TRY_STATUS(read_layers(fields, config));
  CARAT_TRY_STATUS(read_rope(fields, config));
  if (auto valid = validate(config); !valid.ok()) return refused(source + ": " + valid.error().message);
  return config;
}

bool has_ffn_widths(const ModelConfig& config, int64_t width, bool double_wide) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].ffn_width != (double_wide && !config.owns_kv(i) ? 2 * width : width)) return false;
  }
  return true;
}

ordered_json rope_json(const ModelConfig& config) {
  ordered_json rope;
  rope[std::string(kFull)] = {{"partial_rotary_factor", shortest_decimal(config.full_rotary_fraction)},
                              {"rope_theta", shortest_decimal(config.rope_theta_full)},
                              {"rope_type", "proportional"}};
  rope[std::string(kSliding)] = {{"rope_theta", shortest_decimal(config.rope_theta_sliding)}, {"rope_type", "default"}};
  return rope;
}

Error not_expressible(const std::string& what) {
  return refused("config.json cannot say that " + what + "; write a GGUF file instead");
}

}  // namespace

Result<ModelConfig> config_from_json(const std::string& text, const std::string& source) {
  CARAT_TRY(const json root, parse_json_object(text, source));
  const JsonFields top(root, source);
  if (!top.has("text_config")) return read_text_config(top, source);
  CARAT_TRY_STATUS(refuse_other_models(top));
  CARAT_TRY_STATUS(refuse_flag(top, "tie_word_embeddings", true, "a head apart from the embedding is"));
  CARAT_TRY(const JsonFields text_config, top.object("text_config"));
  return read_text_config(text_config, source);
}

Result<std::string> config_to_json(const ModelConfig& config, const std::string& dtype) {
  const LayerConfig& first = config.layers.front();
  const auto sliding_width = common_value(config, AttentionType::kSliding, &LayerConfig::head_width, first.head_width);
  const auto full_width = common_value(config, AttentionType::kFull, &LayerConfig::head_width, first.head_width);
  const auto sliding_kv = common_value(config, AttentionType::kSliding, &LayerConfig::kv_heads, first.kv_heads);
  const auto full_kv = common_value(config, AttentionType::kFull, &LayerConfig::kv_heads, first.kv_heads);
  if (!sliding_width || !full_width) return not_expressible("layers of one attention type have several head widths");
  if (!sliding_kv || sliding_kv != full_kv) return not_expressible("layers have several numbers of key-value heads");
  const bool double_wide = !has_ffn_widths(config, first.ffn_width, false);
  if (!has_ffn_widths(config, first.ffn_width, double_wide)) {
    return not_expressible("layers have feed-forward widths other than one, doubled where keys and values are shared");
  }
  if (config.layers.back().attention != AttentionType::kFull) return not_expressible("the last layer is a sliding one");

  ordered_json root;
  root["architectures"] = {"Gemma4ForCausalLM"};
  root["model_type"] = "gemma4_text";
  root["dtype"] = dtype;
  root["vocab_size"] = config.vocabulary;
  root["hidden_size"] = config.hidden;
  root["intermediate_size"] = first.ffn_width;
  root["use_double_wide_mlp"] = double_wide;
  root["num_hidden_layers"] = config.layer_count();
  root["num_attention_heads"] = config.heads;
  root["num_key_value_heads"] = *sliding_kv;
  root["head_dim"] = *sliding_width;
  root["global_head_dim"] = *full_width;
  root["num_kv_shared_layers"] = config.shared_kv_layers();
  root["layer_types"] = ordered_json::array();
  for (const LayerConfig& layer : config.layers) root["layer_types"].push_back(attention_name(layer.attention));
  root["sliding_window"] = config.sliding_window;
  root["max_position_embeddings"] = config.context;
  root["rope_parameters"] = rope_json(config);
  root["hidden_activation"] = "gelu_pytorch_tanh";
  root["rms_norm_eps"] = shortest_decimal(config.rms_epsilon);
  root["hidden_size_per_layer_input"] = config.per_layer_width;
  root["vocab_size_per_layer_input"] = config.vocabulary;
  root["final_logit_softcapping"] =
      config.softcap == 0 ? ordered_json(nullptr) : ordered_json(shortest_decimal(config.softcap));
  root["tie_word_embeddings"] = true;
  root["attention_bias"] = false;
  root["attention_dropout"] = 0.0;
  root["attention_k_eq_v"] = false;
  root["enable_moe_block"] = false;
  if (!config.scheme.empty()) root["carat_scheme"] = config.scheme;
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace carat
