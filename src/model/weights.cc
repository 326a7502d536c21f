#include "model/weights.h"

#include <string>
#include <unordered_set>

#include "base/check.h"
#include "formats/litertlm_tensors.h"
#include "formats/names.h"
#include "lattice/lattice.h"
#include "model/check_weights.h"

namespace carat {
namespace {

/// Looks tensors up by name; what a valid checkpoint must have is there.
class Binder {
 public:
  Binder(const Checkpoint& checkpoint, const Quantizers& quantizers, const std::optional<NamedTensor>& instead)
      : checkpoint_(checkpoint), quantizers_(quantizers), instead_(instead) {}

  TensorView matrix(const std::string& name) const {
    if (instead_ && instead_->name == name) return instead_->view;
    const TensorView* found = checkpoint_.find(name);
    CARAT_CHECK(found != nullptr, "an open checkpoint has every tensor of its model");
    return *found;
  }

  bool has(const std::string& name) const { return checkpoint_.find(name) != nullptr; }

  std::vector<float> vector(const std::string& name) const { return decode_tensor(matrix(name)); }

  float scalar(const std::string& name, float otherwise) const { return has(name) ? vector(name).front() : otherwise; }

  LinearWeights linear(const std::string& module) const { return linear(module, module + ".weight"); }

  LinearWeights linear(const std::string& module, const std::string& weight) const {
    return {matrix(weight), quantizers_.inputs ? scalar(module + std::string(kInputScale), 0.0f) : 0.0f,
            quantizers_.outputs ? scalar(module + std::string(kOutputScale), 0.0f) : 0.0f};
  }

 private:
  const Checkpoint& checkpoint_;
  const Quantizers quantizers_;
  const std::optional<NamedTensor>& instead_;
};

Bytes part_of(Bytes rows, int64_t of, int64_t first, int64_t count) {
  const size_t length = rows.size() / static_cast<size_t>(of);
  return rows.subspan(static_cast<size_t>(first) * length, static_cast<size_t>(count) * length);
}

/// Rows [first, first + count) of a stack of matrices, as a matrix.
TensorView matrix_rows(const TensorView& stack, int64_t first, int64_t count) {
  TensorView matrix = {stack.dtype, {count, stack.columns()}, part_of(stack.data, stack.rows(), first, count)};
  if (stack.scales.groups > 0) {
    matrix.scales = {stack.scales.dtype, stack.scales.groups, part_of(stack.scales.data, stack.rows(), first, count)};
  }
  return matrix;
}

void bind_attention(const Binder& binder, const std::string& prefix, bool owns_kv, bool value_is_key,
                    LayerWeights& layer) {
  layer.input_norm = binder.vector(prefix + "input_layernorm.weight");
  layer.q_proj = binder.linear(prefix + "self_attn.q_proj");
  layer.q_norm = binder.vector(prefix + "self_attn.q_norm.weight");
  if (owns_kv) {
    layer.k_proj = binder.linear(prefix + "self_attn.k_proj");
    if (!value_is_key) layer.v_proj = binder.linear(prefix + "self_attn.v_proj");
    layer.k_norm = binder.vector(prefix + "self_attn.k_norm.weight");
  }
  layer.o_proj = binder.linear(prefix + "self_attn.o_proj");
  layer.post_attention_norm = binder.vector(prefix + "post_attention_layernorm.weight");
}

void bind_ffn(const Binder& binder, const std::string& prefix, LayerWeights& layer) {
  layer.pre_feedforward_norm = binder.vector(prefix + "pre_feedforward_layernorm.weight");
  layer.gate_proj = binder.linear(prefix + "mlp.gate_proj");
  layer.up_proj = binder.linear(prefix + "mlp.up_proj");
  layer.down_proj = binder.linear(prefix + "mlp.down_proj");
  layer.post_feedforward_norm = binder.vector(prefix + "post_feedforward_layernorm.weight");
}

/// Gate and up lie in one tensor [E, 2 * Fe, D], an expert's gate rows before its up rows, or in two [E, Fe, D].
std::vector<ExpertWeights> bind_experts(const Binder& binder, const std::string& prefix, const ModelConfig& config) {
  const int64_t D = config.hidden;
  const int64_t Fe = config.expert_width;
  const bool merged = binder.has(prefix + "gate_up_proj");
  const TensorView gate = binder.matrix(prefix + (merged ? "gate_up_proj" : "gate_proj"));
  const TensorView up = merged ? gate : binder.matrix(prefix + "up_proj");
  const TensorView down = binder.matrix(prefix + "down_proj");
  const int64_t stride = merged ? 2 * Fe : Fe;
  const int64_t up_begin = merged ? Fe : 0;
  std::vector<ExpertWeights> experts;
  experts.reserve(static_cast<size_t>(config.experts));
  for (int64_t e = 0; e < config.experts; ++e) {
    experts.push_back(
        {matrix_rows(gate, e * stride, Fe), matrix_rows(up, e * stride + up_begin, Fe), matrix_rows(down, e * D, D)});
  }
  return experts;
}

MoeWeights bind_moe(const Binder& binder, const std::string& prefix, const ModelConfig& config) {
  MoeWeights moe;
  moe.router_proj = binder.matrix(prefix + "router.proj.weight");
  moe.router_scale = binder.vector(prefix + "router.scale");
  moe.expert_scale = binder.vector(prefix + "router.per_expert_scale");
  moe.experts = bind_experts(binder, prefix + "experts.", config);
  moe.post_dense_norm = binder.vector(prefix + "post_feedforward_layernorm_1.weight");
  moe.pre_experts_norm = binder.vector(prefix + "pre_feedforward_layernorm_2.weight");
  moe.post_experts_norm = binder.vector(prefix + "post_feedforward_layernorm_2.weight");
  return moe;
}

/// The table of all layers, or those that a bundle has instead.
std::vector<TensorView> bind_per_layer_table(const Binder& binder, const ModelConfig& config) {
  const std::string table = "model.embed_tokens_per_layer.weight";
  if (binder.has(table)) return {binder.matrix(table)};
  std::vector<TensorView> parts;
  for (int64_t l = 0; l < config.layer_count(); ++l) parts.push_back(binder.matrix(per_layer_part(l)));
  return parts;
}

LayerWeights bind_layer(const Binder& binder, const ModelConfig& config, size_t index) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  LayerWeights layer;
  bind_attention(binder, prefix, config.owns_kv(index), config.layers[index].value_is_key, layer);
  bind_ffn(binder, prefix, layer);
  if (config.experts > 0) layer.moe = bind_moe(binder, prefix, config);
  if (config.per_layer_width > 0) {
    layer.per_layer_input_gate = binder.linear(prefix + "per_layer_input_gate");
    layer.per_layer_projection = binder.linear(prefix + "per_layer_projection");
    layer.post_per_layer_norm = binder.vector(prefix + "post_per_layer_input_norm.weight");
  }
  layer.layer_scalar = binder.scalar(prefix + "layer_scalar", 1.0f);
  return layer;
}

/// The module that a static quantizer belongs to; empty for any other tensor.
std::string quantized_module(const std::string& tensor) {
  for (const std::string_view ending : {kInputScale, kOutputScale}) {
    if (tensor.ends_with(ending)) return tensor.substr(0, tensor.size() - ending.size());
  }
  return "";
}

/// A quantizer that nothing applies would make another model of the file.
Status check_quantizers(const Checkpoint& checkpoint, const ModelWeights& weights) {
  std::unordered_set<std::string> linear_layers;
  for_each_linear(weights, [&](const std::string& module, const LinearWeights&) { linear_layers.insert(module); });
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    const std::string module = quantized_module(tensor.name);
    if (module.empty() || linear_layers.contains(module)) continue;
    return refused(checkpoint.path().string() + ": " + name_in(checkpoint.container(), tensor.name) +
                   " is a static quantizer of a layer that is computed in floating point; expected those of "
                   "projections in attention, feed-forward and per-layer embeddings, and of the head");
  }
  return success();
}

}  // namespace

Result<ModelWeights> ModelWeights::bind(const Checkpoint& checkpoint, const Quantizers& quantizers,
                                        const std::optional<NamedTensor>& instead) {
  const ModelConfig& config = checkpoint.config();
  CARAT_TRY_STATUS(check_vectors(checkpoint));
  const Binder binder(checkpoint, quantizers, instead);
  ModelWeights weights;
  weights.embed_tokens = binder.matrix("model.embed_tokens.weight");
  weights.head = binder.linear("lm_head", "model.embed_tokens.weight");
  if (config.per_layer_width > 0) {
    weights.embed_tokens_per_layer = bind_per_layer_table(binder, config);
    weights.per_layer_model_projection = binder.linear("model.per_layer_model_projection");
    weights.per_layer_norm = binder.vector("model.per_layer_projection_norm.weight");
  }
  weights.layers.reserve(config.layers.size());
  for (size_t l = 0; l < config.layers.size(); ++l) weights.layers.push_back(bind_layer(binder, config, l));
  weights.final_norm = binder.vector("model.norm.weight");
  CARAT_TRY_STATUS(check_quantizers(checkpoint, weights));
  return weights;
}

void for_each_linear(const ModelWeights& weights,
                     const std::function<void(const std::string& module, const LinearWeights& layer)>& see) {
  const auto see_bound = [&](const std::string& module, const LinearWeights& layer) {
    if (!layer.weight.shape.empty()) see(module, layer);
  };
  see_bound("model.per_layer_model_projection", weights.per_layer_model_projection);
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    const std::string prefix = "model.layers." + std::to_string(l) + ".";
    const LayerWeights& layer = weights.layers[l];
    see_bound(prefix + "self_attn.q_proj", layer.q_proj);
    see_bound(prefix + "self_attn.k_proj", layer.k_proj);
    see_bound(prefix + "self_attn.v_proj", layer.v_proj);
    see_bound(prefix + "self_attn.o_proj", layer.o_proj);
    see_bound(prefix + "mlp.gate_proj", layer.gate_proj);
    see_bound(prefix + "mlp.up_proj", layer.up_proj);
    see_bound(prefix + "mlp.down_proj", layer.down_proj);
    see_bound(prefix + "per_layer_input_gate", layer.per_layer_input_gate);
    see_bound(prefix + "per_layer_projection", layer.per_layer_projection);
  }
  see_bound("lm_head", weights.head);
}

int64_t decoded_weight_count(const ModelConfig& config) {
  const int64_t per_layer_norms = config.per_layer_width > 0 ? 1 : 0;
  const int64_t moe_vectors = config.experts > 0 ? 4 : 0;  // three norms and the router's scale
  int64_t count = config.hidden + config.per_layer_width;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    const int64_t head_norms = config.owns_kv(l) ? 2 : 1;
    count += (4 + per_layer_norms + moe_vectors) * config.hidden + config.experts;
    count += head_norms * config.layers[l].head_width;
  }
  return count;
}

}  // namespace carat
