#include <nlohmann/json.hpp>

#include "formats/common_value.h"
#include "formats/json_fields.h"
#include "formats/model_config.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

constexpr const char* kSliding = "sliding_attention";
constexpr const char* kFull = "full_attention";

/// What all layers of one attention type have.
struct Heads {
  int64_t kv_heads, width;
};

/// What config.json has room for: one shape of heads for each attention type, one feed-forward width.
struct Common {
  Heads sliding, full;
  int64_t ffn_width;
  bool double_wide;
};

bool has_ffn_widths(const ModelConfig& config, int64_t width, bool double_wide) {
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].ffn_width != (double_wide && !config.owns_kv(i) ? 2 * width : width)) return false;
  }
  return true;
}

Error not_expressible(const std::string& what) {
  return refused("config.json cannot say that " + what + "; write a GGUF file instead");
}

Result<Heads> common_heads(const ModelConfig& config, AttentionType type) {
  const LayerConfig& first = config.layers.front();
  const auto kv_heads = common_value(config, type, &LayerConfig::kv_heads, first.kv_heads);
  const auto width = common_value(config, type, &LayerConfig::head_width, first.head_width);
  if (!width) return not_expressible("layers of one attention type have several head widths");
  if (!kv_heads) return not_expressible("layers of one attention type have several numbers of key-value heads");
  return Heads{*kv_heads, *width};
}

Result<Common> common_shape(const ModelConfig& config) {
  Common common{};
  CARAT_TRY(common.sliding, common_heads(config, AttentionType::kSliding));
  CARAT_TRY(common.full, common_heads(config, AttentionType::kFull));
  common.ffn_width = config.layers.front().ffn_width;
  common.double_wide = !has_ffn_widths(config, common.ffn_width, false);
  if (!has_ffn_widths(config, common.ffn_width, common.double_wide)) {
    return not_expressible("layers have feed-forward widths other than one, doubled where keys and values are shared");
  }
  if (config.layers.back().attention != AttentionType::kFull) return not_expressible("the last layer is a sliding one");
  return common;
}

ordered_json layer_types_json(const ModelConfig& config) {
  ordered_json types = ordered_json::array();
  for (const LayerConfig& layer : config.layers) {
    types.push_back(layer.attention == AttentionType::kFull ? kFull : kSliding);
  }
  return types;
}

/// transformers takes the number of key-value heads of full layers from `num_global_key_value_heads` only where they
/// use keys as values; `per_layer_config` says it for every model, but older versions do not know it.
void add_heads(const ModelConfig& config, const Common& common, ordered_json& root) {
  const bool value_is_key = config.layers.back().value_is_key;
  root["num_attention_heads"] = config.heads;
  root["num_key_value_heads"] = common.sliding.kv_heads;
  root["head_dim"] = common.sliding.width;
  root["global_head_dim"] = common.full.width;
  root["attention_k_eq_v"] = value_is_key;
  if (value_is_key) root["num_global_key_value_heads"] = common.full.kv_heads;
  if (value_is_key || common.full.kv_heads == common.sliding.kv_heads) return;
  ordered_json& layers = root["per_layer_config"];
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.layers[i].attention != AttentionType::kFull) continue;
    layers[std::to_string(i)] = {{"head_dim", common.full.width}, {"num_key_value_heads", common.full.kv_heads}};
  }
}

void add_experts(const ModelConfig& config, ordered_json& root) {
  root["enable_moe_block"] = config.experts != 0;
  if (config.experts == 0) return;
  root["num_experts"] = config.experts;
  root["top_k_experts"] = config.experts_used;
  root["moe_intermediate_size"] = config.expert_width;
}

ordered_json rope_json(const ModelConfig& config) {
  ordered_json rope;
  rope[kFull] = {{"partial_rotary_factor", shortest_decimal(config.full_rotary_fraction)},
                 {"rope_theta", shortest_decimal(config.rope_theta_full)},
                 {"rope_type", "proportional"}};
  rope[kSliding] = {{"rope_theta", shortest_decimal(config.rope_theta_sliding)}, {"rope_type", "default"}};
  return rope;
}

}  // namespace

Result<std::string> config_to_json(const ModelConfig& config, const std::string& dtype) {
  CARAT_TRY(const Common common, common_shape(config));
  ordered_json root;
  root["architectures"] = {"Gemma4ForCausalLM"};
  root["model_type"] = "gemma4_text";
  root["dtype"] = dtype;
  root["vocab_size"] = config.vocabulary;
  root["hidden_size"] = config.hidden;
  root["intermediate_size"] = common.ffn_width;
  root["use_double_wide_mlp"] = common.double_wide;
  root["num_hidden_layers"] = config.layer_count();
  add_heads(config, common, root);
  root["num_kv_shared_layers"] = config.shared_kv_layers();
  root["layer_types"] = layer_types_json(config);
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
  add_experts(config, root);
  if (!config.scheme.empty()) root["carat_scheme"] = config.scheme;
  if (!config.provenance.empty()) root["carat_provenance"] = provenance_to_json(config.provenance);
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace carat
