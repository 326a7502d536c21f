#include "model/parameter_count.h"

#include <string_view>

#include "formats/checkpoint.h"

namespace carat {
namespace {

using Part = int64_t ParameterCount::*;

struct PartName {
  std::string_view ending;  ///< of a tensor's name
  Part part;
};

// What is in none of them is a norm or a layer scalar.
constexpr PartName kParts[] = {
    {"embed_tokens.weight", &ParameterCount::embedding},
    {"embed_tokens_per_layer.weight", &ParameterCount::per_layer_table},
    {"per_layer_model_projection.weight", &ParameterCount::per_layer_inputs},
    {"per_layer_projection_norm.weight", &ParameterCount::per_layer_inputs},
    {"per_layer_input_gate.weight", &ParameterCount::per_layer_outputs},
    {"per_layer_projection.weight", &ParameterCount::per_layer_outputs},
    {"q_proj.weight", &ParameterCount::query},
    {"k_proj.weight", &ParameterCount::key_value},
    {"v_proj.weight", &ParameterCount::key_value},
    {"o_proj.weight", &ParameterCount::attention_output},
    {"gate_proj.weight", &ParameterCount::feed_forward},
    {"up_proj.weight", &ParameterCount::feed_forward},
    {"down_proj.weight", &ParameterCount::feed_forward},
    {"router.proj.weight", &ParameterCount::router},
    {"router.scale", &ParameterCount::router},
    {"router.per_expert_scale", &ParameterCount::router},
    {"experts.gate_up_proj", &ParameterCount::experts},
    {"experts.down_proj", &ParameterCount::experts},
};

Part part_of(std::string_view name) {
  for (const PartName& part : kParts) {
    if (name.ends_with(part.ending)) return part.part;
  }
  return &ParameterCount::norms;
}

int64_t count_unused_key_value(const ModelConfig& config) {
  int64_t count = 0;
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (config.owns_kv(i)) continue;
    const LayerConfig& layer = config.layers[i];
    const int64_t projections = layer.value_is_key ? 1 : 2;
    count += projections * layer.kv_heads * layer.head_width * config.hidden + layer.head_width;
  }
  return count;
}

}  // namespace

int64_t ParameterCount::used() const {
  return embedding + per_layer_table + per_layer_inputs + per_layer_outputs + query + key_value + attention_output +
         feed_forward + router + experts + norms;
}

ParameterCount count_parameters(const ModelConfig& config) {
  ParameterCount count;
  for (const TensorSpec& tensor : expected_tensors(config)) count.*part_of(tensor.name) += *element_count(tensor.shape);
  count.unused_key_value = count_unused_key_value(config);
  if (config.experts != 0) count.active_experts = count.experts / config.experts * config.experts_used;
  return count;
}

}  // namespace carat
