#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "formats/common_value.h"
#include "formats/gguf_gemma4.h"
#include "formats/quote.h"

namespace carat {
namespace {

constexpr float kNoRotation = 1e30f;
constexpr float kLeastNoRotation = 1e29f;
constexpr const char* kProvenance = "carat.provenance";
constexpr const char* kScaledPositions = "scaled positions are not supported";
constexpr double kSoftcapWhenAbsent = 30.0;  // as llama.cpp takes it; 0 is written for none

Status read_scalars(const GgufFields& fields, ModelConfig& config) {
  CARAT_TRY(const GgufArray* tokens, fields.texts("tokenizer.ggml.tokens"));
  config.vocabulary = static_cast<int64_t>(tokens->size());
  CARAT_TRY(config.hidden, fields.integer("gemma4.embedding_length"));
  CARAT_TRY(config.per_layer_width, fields.integer("gemma4.embedding_length_per_layer_input", 0));
  CARAT_TRY(config.sliding_window, fields.integer("gemma4.attention.sliding_window"));
  CARAT_TRY(config.context, fields.integer("gemma4.context_length"));
  CARAT_TRY(config.rms_epsilon, fields.number("gemma4.attention.layer_norm_rms_epsilon"));
  CARAT_TRY(config.softcap, fields.number("gemma4.final_logit_softcapping", kSoftcapWhenAbsent));
  CARAT_TRY(config.rope_theta_full, fields.number("gemma4.rope.freq_base"));
  CARAT_TRY(config.rope_theta_sliding, fields.number("gemma4.rope.freq_base_swa", 1e4));
  CARAT_TRY(config.scheme, fields.text("carat.scheme", ""));
  return success();
}

Status refuse_other_architectures(const GgufFields& fields) {
  CARAT_TRY(const std::string architecture, fields.text("general.architecture"));
  if (architecture == "gemma4") return success();
  std::string message = "expected gemma4, found " + in_quotes(architecture);
  if (architecture == "clip") {
    message += ", the image and audio part (mmproj) of a model; open the file of its text part";
  } else if (architecture.starts_with("gemma4") && architecture.ends_with("assistant")) {
    message += ", a draft model, which cannot run alone; open the Gemma 4 model that it drafts for";
  } else {
    message += "; supported are the Gemma 4 text models (E2B, E4B, 12B, 26B-A4B, 31B)";
  }
  return fields.refusal("general.architecture", message);
}

Status refuse_unsupported(const GgufFields& fields) {
  CARAT_TRY_STATUS(refuse_other_architectures(fields));
  CARAT_TRY(const std::string scaling, fields.text("gemma4.rope.scaling.type", "none"));
  if (scaling != "none") return fields.refusal("gemma4.rope.scaling.type", kScaledPositions);
  // Also without a type a factor counts; 0 stands for none.
  for (const char* key : {"gemma4.rope.scaling.factor", "gemma4.rope.scale_linear"}) {
    CARAT_TRY(const double factor, fields.number(key, 1.0));
    if (factor != 0.0 && factor != 1.0) return fields.refusal(key, kScaledPositions);
  }
  return success();
}

Status read_experts(const GgufFields& fields, ModelConfig& config) {
  CARAT_TRY(config.experts, fields.integer("gemma4.expert_count", 0));
  if (config.experts == 0) return success();
  CARAT_TRY(config.experts_used, fields.integer("gemma4.expert_used_count"));
  CARAT_TRY(config.expert_width, fields.integer("gemma4.expert_feed_forward_length"));
  return success();
}

/// Head widths of one attention type; `suffix` is "" for full layers and "_swa" for sliding ones.
Result<std::vector<int64_t>> read_head_widths(const GgufFields& fields, const std::string& suffix, size_t layers) {
  const std::string key = "gemma4.attention.key_length" + suffix;
  CARAT_TRY(const std::vector<int64_t> widths, fields.per_layer(key, layers));
  for (const std::string& same : {"gemma4.attention.value_length" + suffix, "gemma4.rope.dimension_count" + suffix}) {
    if (!fields.has(same)) continue;
    CARAT_TRY(const std::vector<int64_t> others, fields.per_layer(same, layers));
    const auto [width, other] = std::ranges::mismatch(widths, others);
    if (width == widths.end()) continue;
    return fields.refusal(
        same, "expected " + std::to_string(*width) + ", as " + key + " says, found " + std::to_string(*other));
  }
  return widths;
}

Status read_head_count(const GgufFields& fields, ModelConfig& config) {
  constexpr const char* kKey = "gemma4.attention.head_count";
  CARAT_TRY(const std::vector<int64_t> heads, fields.per_layer(kKey, config.layers.size()));
  config.heads = heads.front();
  for (const int64_t count : heads) {
    if (count != config.heads) return fields.refusal(kKey, "numbers of query heads that differ are not supported");
  }
  return success();
}

/// One boolean for each layer, true where it slides; or a number N, and every N-th layer is a full one.
Status read_attention_types(const GgufFields& fields, ModelConfig& config) {
  constexpr const char* kPattern = "gemma4.attention.sliding_window_pattern";
  const size_t layers = config.layers.size();
  const auto set = [&](size_t layer, bool slides) {
    config.layers[layer].attention = slides ? AttentionType::kSliding : AttentionType::kFull;
  };
  if (!fields.is_array(kPattern)) {
    CARAT_TRY(const int64_t period, fields.integer(kPattern));
    if (period < 2 || period > kMostLayers) {
      return fields.refusal(kPattern, "expected a boolean for each layer, or how many layers there are for each full " +
                                          ("one, 2 or more; found " + std::to_string(period)));
    }
    for (size_t i = 0; i < layers; ++i) set(i, (i + 1) % static_cast<size_t>(period) != 0);
    return success();
  }
  CARAT_TRY(const GgufArray* sliding, fields.integers(kPattern));
  if (sliding->size() != layers) {
    return fields.refusal(kPattern, "expected one entry for each of " + std::to_string(layers) + " layers, found " +
                                        std::to_string(sliding->size()));
  }
  for (size_t i = 0; i < layers; ++i) set(i, sliding->integer(i) != 0);
  return success();
}

/// The file does not say that keys are used as values: its full layers that have keys of their own then have no attn_v.
Status read_key_as_value(const GgufFields& fields, const std::vector<NamedTensor>& tensors, ModelConfig& config) {
  std::unordered_set<std::string> names;
  for (const NamedTensor& tensor : tensors) names.insert(tensor.name);
  std::string missing;
  bool has_values = false;
  for (LayerConfig& layer : config.layers) {
    if (layer.attention != AttentionType::kFull) continue;
    const std::string name = "blk." + std::to_string(layer.kv_layer) + ".attn_v.weight";
    layer.value_is_key = !names.contains(name);
    if (layer.value_is_key) missing = name;
    has_values = has_values || !layer.value_is_key;
  }
  if (missing.empty() || !has_values) return success();
  return fields.refusal(missing, "is missing, but other layers of full attention have theirs; the file is incomplete");
}

Status read_layers(const GgufFields& fields, ModelConfig& config) {
  CARAT_TRY(const int64_t count, fields.integer("gemma4.block_count"));
  if (count < 1 || count > kMostLayers) {
    return fields.refusal("gemma4.block_count",
                          "expected 1 to " + std::to_string(kMostLayers) + ", found " + std::to_string(count));
  }
  const auto layers = static_cast<size_t>(count);
  config.layers.resize(layers);
  CARAT_TRY_STATUS(read_head_count(fields, config));
  CARAT_TRY_STATUS(read_attention_types(fields, config));
  CARAT_TRY(const std::vector<int64_t> ffn, fields.per_layer("gemma4.feed_forward_length", layers));
  CARAT_TRY(const std::vector<int64_t> kv_heads, fields.per_layer("gemma4.attention.head_count_kv", layers));
  CARAT_TRY(const std::vector<int64_t> full_width, read_head_widths(fields, "", layers));
  const bool one_width = !fields.has("gemma4.attention.key_length_swa");
  CARAT_TRY(const std::vector<int64_t> sliding_width, read_head_widths(fields, one_width ? "" : "_swa", layers));
  for (size_t i = 0; i < layers; ++i) {
    LayerConfig& layer = config.layers[i];
    layer.kv_heads = kv_heads[i];
    layer.head_width = layer.attention == AttentionType::kFull ? full_width[i] : sliding_width[i];
    layer.ffn_width = ffn[i];
  }
  CARAT_TRY(const int64_t shared, fields.integer("gemma4.attention.shared_kv_layers", 0));
  if (auto assigned = assign_kv_layers(config, shared); !assigned.ok()) {
    return fields.refusal("gemma4.attention.shared_kv_layers", assigned.error().message);
  }
  return success();
}

const LayerConfig* first_full_layer(const ModelConfig& config) {
  for (const LayerConfig& layer : config.layers) {
    if (layer.attention == AttentionType::kFull) return &layer;
  }
  return nullptr;
}

/// Sets the fraction that rotates `pairs` pairs of `layer`: the usual one when it fits.
void set_rotary_fraction(ModelConfig& config, const LayerConfig& layer, int64_t pairs) {
  if (config.rotated_pairs(layer) == pairs) return;
  config.full_rotary_fraction = 2.0f * static_cast<float>(pairs) / static_cast<float>(layer.head_width);
  // The division can round down to a fraction whose product falls short of a whole number.
  if (config.rotated_pairs(layer) < pairs)
    config.full_rotary_fraction = std::nextafter(config.full_rotary_fraction, 2.0f);
}

Result<int64_t> count_rotated_pairs(const GgufFields& fields, const TensorView& factors, int64_t pairs) {
  if (factors.dtype != DType::kF32 || factors.shape != Shape{pairs}) {
    return fields.refusal(kRopeFactorsName, "expected " + shape_text({pairs}) + " F32, found " +
                                                shape_text(factors.shape) + " " +
                                                std::string(dtype_name(factors.dtype)));
  }
  int64_t rotated = 0;
  for (int64_t i = 0; i < pairs; ++i) {
    float factor = 0;
    std::memcpy(&factor, factors.data.data() + static_cast<size_t>(i) * sizeof factor, sizeof factor);
    const bool rotates = factor == 1.0f;
    if ((!rotates && !(factor >= kLeastNoRotation)) || (rotates && rotated != i)) {
      return fields.refusal(kRopeFactorsName, "entry " + std::to_string(i) + " is " + std::to_string(factor) +
                                                  "; expected ones, then 1e30 for pairs that do not rotate");
    }
    rotated += rotates ? 1 : 0;
  }
  return rotated;
}

Status read_rotary_fraction(const GgufFields& fields, const std::vector<NamedTensor>& tensors, ModelConfig& config) {
  const LayerConfig* full = first_full_layer(config);
  if (full == nullptr) return success();
  if (!common_value(config, AttentionType::kFull, &LayerConfig::head_width, full->head_width)) {
    return fields.refusal(kRopeFactorsName, "is one list for all full attention layers, but their head widths differ");
  }
  for (const NamedTensor& tensor : tensors) {
    if (tensor.name != kRopeFactorsName) continue;
    CARAT_TRY(const int64_t pairs, count_rotated_pairs(fields, tensor.view, full->head_width / 2));
    set_rotary_fraction(config, *full, pairs);
    return success();
  }
  return fields.refusal(kRopeFactorsName, "is missing; the file is incomplete");
}

void add_per_layer(GgufHeader& header, std::string_view key, const ModelConfig& config, int64_t LayerConfig::*member) {
  std::vector<int32_t> values;
  bool same = true;
  for (const LayerConfig& layer : config.layers) {
    values.push_back(static_cast<int32_t>(layer.*member));
    same = same && values.back() == values.front();
  }
  if (same) return header.add_u32(key, static_cast<uint32_t>(values.front()));
  header.add_i32_array(key, values);
}

}  // namespace

std::vector<float> rope_factors(const ModelConfig& config) {
  const LayerConfig* full = first_full_layer(config);
  if (full == nullptr) return {};
  std::vector<float> factors(static_cast<size_t>(full->head_width / 2), kNoRotation);
  std::fill_n(factors.begin(), config.rotated_pairs(*full), 1.0f);
  return factors;
}

Result<ModelConfig> config_from_gguf(const GgufFields& fields, const std::vector<NamedTensor>& tensors) {
  CARAT_TRY_STATUS(refuse_unsupported(fields));
  ModelConfig config;
  CARAT_TRY_STATUS(read_scalars(fields, config));
  CARAT_TRY_STATUS(read_layers(fields, config));
  CARAT_TRY_STATUS(read_experts(fields, config));
  CARAT_TRY_STATUS(read_key_as_value(fields, tensors, config));
  if (auto valid = validate(config); !valid.ok()) return fields.refusal("gemma4", valid.error().message);
  if (fields.has(kProvenance)) {
    CARAT_TRY(const std::string text, fields.text(kProvenance));
    CARAT_TRY(config.provenance, provenance_from_text(text, fields.source(), kProvenance));
  }
  CARAT_TRY_STATUS(read_rotary_fraction(fields, tensors, config));
  return config;
}

Status add_config(const ModelConfig& config, GgufHeader& header) {
  const int64_t any_width = config.layers.front().head_width;
  const auto full_width = common_value(config, AttentionType::kFull, &LayerConfig::head_width, any_width);
  const auto sliding_width = common_value(config, AttentionType::kSliding, &LayerConfig::head_width, any_width);
  if (!full_width || !sliding_width) {
    return refused("a GGUF file cannot hold a model whose layers of one attention type have several head widths");
  }
  const auto add = [&](std::string_view key, int64_t value) { header.add_u32(key, static_cast<uint32_t>(value)); };
  add("gemma4.block_count", config.layer_count());
  add("gemma4.context_length", config.context);
  add("gemma4.embedding_length", config.hidden);
  add_per_layer(header, "gemma4.feed_forward_length", config, &LayerConfig::ffn_width);
  if (config.experts != 0) {
    add("gemma4.expert_count", config.experts);
    add("gemma4.expert_used_count", config.experts_used);
    add("gemma4.expert_feed_forward_length", config.expert_width);
  }
  add("gemma4.attention.head_count", config.heads);
  add_per_layer(header, "gemma4.attention.head_count_kv", config, &LayerConfig::kv_heads);
  add("gemma4.attention.key_length", *full_width);
  add("gemma4.attention.value_length", *full_width);
  add("gemma4.attention.key_length_swa", *sliding_width);
  add("gemma4.attention.value_length_swa", *sliding_width);
  header.add_f32("gemma4.attention.layer_norm_rms_epsilon", config.rms_epsilon);
  add("gemma4.attention.sliding_window", config.sliding_window);
  std::vector<bool> sliding;
  for (const LayerConfig& layer : config.layers) sliding.push_back(layer.attention == AttentionType::kSliding);
  header.add_bool_array("gemma4.attention.sliding_window_pattern", sliding);
  add("gemma4.attention.shared_kv_layers", config.shared_kv_layers());
  add("gemma4.embedding_length_per_layer_input", config.per_layer_width);
  header.add_f32("gemma4.final_logit_softcapping", config.softcap);
  header.add_f32("gemma4.rope.freq_base", config.rope_theta_full);
  header.add_f32("gemma4.rope.freq_base_swa", config.rope_theta_sliding);
  add("gemma4.rope.dimension_count", *full_width);
  add("gemma4.rope.dimension_count_swa", *sliding_width);
  if (!config.scheme.empty()) header.add_string("carat.scheme", config.scheme);
  if (!config.provenance.empty()) header.add_string(kProvenance, provenance_to_json(config.provenance).dump());
  return success();
}

}  // namespace carat
