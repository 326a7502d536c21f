#include "train/gemma_torch.h"

#include <algorithm>
#include <cmath>

#include "lattice/lattice.h"
#include "train/fake_quant.h"
#include "train/torch_ops.h"
#include "train/windowed_attention.h"

namespace carat {
namespace {

constexpr float kInitialLayerScalar = 0.875f;

bool is_layer_scalar(const std::string& name) { return name.ends_with(".layer_scalar"); }

std::string layer_prefix(int64_t index) { return "model.layers." + std::to_string(index) + "."; }

}  // namespace

GemmaTorchImpl::GemmaTorchImpl(ModelConfig config, Scheme scheme)
    : config_(std::move(config)), scheme_(std::move(scheme)) {
  CARAT_CHECK(config_.experts == 0, "a model without experts");
  for (const TensorSpec& spec : expected_tensors(config_)) {
    std::string registered = spec.name;
    std::replace(registered.begin(), registered.end(), '.', '/');
    at::Tensor tensor = torch::ones(spec.shape, at::kFloat);
    latent_[spec.name] =
        is_layer_scalar(spec.name) ? register_buffer(registered, tensor) : register_parameter(registered, tensor);
  }
}

void GemmaTorchImpl::initialise(uint64_t seed) {
  torch::NoGradGuard no_grad;
  at::Generator generator = at::globalContext().defaultGenerator(at::kCPU).clone();
  generator.set_current_seed(seed);
  for (const TensorSpec& spec : expected_tensors(config_)) {
    at::Tensor tensor = latent(spec.name);
    if (is_layer_scalar(spec.name)) {
      tensor.fill_(kInitialLayerScalar);
    } else if (spec.shape.size() == 2) {
      const bool per_layer_table = spec.name.ends_with("embed_tokens_per_layer.weight");
      const auto width = static_cast<double>(per_layer_table ? config_.per_layer_width : spec.shape.back());
      tensor.copy_(at::randn(spec.shape, generator, at::TensorOptions(at::kFloat)).mul_(1.0 / std::sqrt(width)));
    } else {
      const bool key_norm = spec.name.ends_with("k_norm.weight");
      tensor.fill_(key_norm ? 1.0 / std::sqrt(static_cast<double>(spec.shape.back())) : 1.0);
    }
  }
}

void GemmaTorchImpl::load(const Checkpoint& checkpoint) {
  torch::NoGradGuard no_grad;
  for (const TensorSpec& spec : expected_tensors(config_)) {
    const TensorView* view = checkpoint.find(spec.name);
    if (view == nullptr) {
      CARAT_CHECK(is_layer_scalar(spec.name), "an open checkpoint has all tensors of its model");
      latent(spec.name).fill_(1.0);
      continue;
    }
    CARAT_CHECK(view->shape == spec.shape, "the checkpoint has the module's shape");
    std::vector<float> values = decode_tensor(*view);
    latent(spec.name).copy_(at::from_blob(values.data(), spec.shape, at::kFloat));
  }
}

at::Tensor GemmaTorchImpl::latent(const std::string& name) const {
  const auto found = latent_.find(name);
  CARAT_CHECK(found != latent_.end(), name.c_str());
  return found->second;
}

at::Tensor GemmaTorchImpl::weight(const std::string& name) const {
  return fake_quantize(latent(name), scheme_.lattice_of(name));
}

at::Tensor GemmaTorchImpl::norm(const at::Tensor& x, const std::string& name) const {
  return rms_norm(x, weight(name), config_.rms_epsilon);
}

at::Tensor GemmaTorchImpl::project(const at::Tensor& x, const std::string& name) const {
  return linear(x, weight(name), precision_);
}

GemmaTorchImpl::Output GemmaTorchImpl::forward(const at::Tensor& ids) {
  const at::Tensor embedding = weight("model.embed_tokens.weight");
  at::Tensor x = at::embedding(embedding, ids) * std::sqrt(static_cast<double>(config_.hidden));

  const int64_t positions = ids.size(1);
  Pass pass;
  if (config_.per_layer_width > 0) pass.per_layer = per_layer_inputs(ids, x);
  pass.sliding_rotation = rotation(AttentionType::kSliding, positions);
  pass.full_rotation = rotation(AttentionType::kFull, positions);

  for (int64_t index = 0; index < config_.layer_count(); ++index) x = layer(x, index, pass);
  return {norm(x, "model.norm.weight"), embedding};
}

at::Tensor GemmaTorchImpl::logits(const Output& output) const {
  const at::Tensor raw = linear(output.hidden, output.head, precision_);
  return config_.softcap > 0 ? (raw / config_.softcap).tanh() * config_.softcap : raw;
}

std::vector<at::Tensor> GemmaTorchImpl::per_layer_inputs(const at::Tensor& ids, const at::Tensor& x) const {
  const auto layers = config_.layer_count(), width = config_.per_layer_width;
  const std::vector<int64_t> split = {ids.size(0), ids.size(1), layers, width};
  const at::Tensor token = at::embedding(weight("model.embed_tokens_per_layer.weight"), ids).view(split);
  at::Tensor projected = project(x, "model.per_layer_model_projection.weight").view(split);
  projected =
      norm(projected / std::sqrt(static_cast<double>(config_.hidden)), "model.per_layer_projection_norm.weight");
  const at::Tensor sum = (projected + token * std::sqrt(static_cast<double>(width))) * std::sqrt(0.5);
  return sum.permute({2, 0, 1, 3}).contiguous().unbind(0);
}

at::Tensor GemmaTorchImpl::layer(const at::Tensor& input, int64_t index, Pass& pass) const {
  const std::string at = layer_prefix(index);
  at::Tensor x = input;
  x = x + norm(attention(norm(x, at + "input_layernorm.weight"), index, pass), at + "post_attention_layernorm.weight");

  const at::Tensor h = norm(x, at + "pre_feedforward_layernorm.weight");
  const at::Tensor gated =
      at::gelu(project(h, at + "mlp.gate_proj.weight"), "tanh") * project(h, at + "mlp.up_proj.weight");
  x = x + norm(project(gated, at + "mlp.down_proj.weight"), at + "post_feedforward_layernorm.weight");

  if (config_.per_layer_width > 0) {
    const at::Tensor gate = at::gelu(project(x, at + "per_layer_input_gate.weight"), "tanh");
    const at::Tensor injected = project(gate * pass.per_layer[index], at + "per_layer_projection.weight");
    x = x + norm(injected, at + "post_per_layer_input_norm.weight");
  }
  return x * latent(at + "layer_scalar");
}

at::Tensor GemmaTorchImpl::attention(const at::Tensor& x, int64_t index, Pass& pass) const {
  const LayerConfig& shape = config_.layers[index];
  const std::string at = layer_prefix(index) + "self_attn.";
  const bool sliding = shape.attention == AttentionType::kSliding;
  const Rotation& angles = sliding ? pass.sliding_rotation : pass.full_rotation;
  const int64_t batch = x.size(0), positions = x.size(1), width = shape.head_width;
  if (config_.owns_kv(index)) pass.keys_values[index] = keys_values(x, index, angles);
  const KeysValues& source = pass.keys_values.at(shape.kv_layer);

  at::Tensor q = project(x, at + "q_proj.weight").view({batch, positions, config_.heads, width});
  q = rotate(norm(q, at + "q_norm.weight").transpose(1, 2), angles.cosine, angles.sine);

  const int64_t window = sliding ? config_.sliding_window : positions;
  const at::Tensor mixed = windowed_attention(q, source.keys, source.values, window);
  const at::Tensor heads = mixed.transpose(1, 2);
  return project(heads.reshape({batch, positions, config_.heads * width}), at + "o_proj.weight");
}

GemmaTorchImpl::KeysValues GemmaTorchImpl::keys_values(const at::Tensor& x, int64_t index,
                                                       const Rotation& angles) const {
  const LayerConfig& shape = config_.layers[index];
  const std::string at = layer_prefix(index) + "self_attn.";
  const std::vector<int64_t> split = {x.size(0), x.size(1), shape.kv_heads, shape.head_width};
  const at::Tensor projected = project(x, at + "k_proj.weight").view(split);
  const at::Tensor raw_values = shape.value_is_key ? projected : project(x, at + "v_proj.weight").view(split);
  const at::Tensor keys = norm(projected, at + "k_norm.weight");
  const at::Tensor values = rms_norm(raw_values, {}, config_.rms_epsilon);
  return {rotate(keys.transpose(1, 2), angles.cosine, angles.sine), values.transpose(1, 2).contiguous()};
}

GemmaTorchImpl::Rotation GemmaTorchImpl::rotation(AttentionType type, int64_t positions) const {
  const auto layer = std::find_if(config_.layers.begin(), config_.layers.end(),
                                  [&](const LayerConfig& l) { return l.attention == type; });
  if (layer == config_.layers.end()) return {};
  const auto options = latent("model.norm.weight").options().requires_grad(false);
  const float base = type == AttentionType::kSliding ? config_.rope_theta_sliding : config_.rope_theta_full;
  const int64_t half = layer->head_width / 2;
  const at::Tensor exponent = at::arange(0, 2 * half, 2, options) / static_cast<double>(layer->head_width);
  at::Tensor frequency = at::pow(static_cast<double>(base), exponent).reciprocal();
  const int64_t rotated = config_.rotated_pairs(*layer);
  frequency.narrow(0, rotated, half - rotated).zero_();
  const at::Tensor angle = at::arange(positions, options).unsqueeze(1) * frequency;
  return {angle.cos(), angle.sin()};
}

}  // namespace carat
