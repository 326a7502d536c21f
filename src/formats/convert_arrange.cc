#include "formats/convert_arrange.h"

#include <string_view>

#include "formats/litertlm_tensors.h"
#include "formats/names.h"

namespace carat {
namespace {

/// The gates and the ups of all experts as one tensor [E, 2 Fe, D], expert after expert.
Output merged_experts(const NamedTensor& gate, const NamedTensor& up, std::string name) {
  const Shape& half = gate.view.shape;
  const DType dtype = gate.view.dtype == up.view.dtype ? gate.view.dtype : DType::kF32;
  Output merged;
  merged.spec = {std::move(name), dtype, {half[0], 2 * half[1], half[2]}};
  for (int64_t expert = 0; expert < half[0]; ++expert) {
    for (const NamedTensor* part : {&gate, &up}) merged.rows.push_back({part, expert * half[1], half[1]});
  }
  return merged;
}

/// The tables of all layers as one [V, L P], in which each has its own scales.
Output joined_tables(const std::vector<NamedTensor>& tensors, size_t first, int64_t layers) {
  Output joined;
  for (int64_t layer = 0; layer < layers; ++layer) {
    joined.columns.push_back(&tensors[first + static_cast<size_t>(layer)]);
  }
  const TensorView& part = joined.columns.front()->view;
  joined.spec = {std::string(kPerLayerTableName), part.dtype, {part.rows(), layers * part.columns()}};
  return joined;
}

std::string scale_name(const std::string& weight) { return weight + "_scale"; }

}  // namespace

std::vector<Output> arrange(const Checkpoint& input, Container container) {
  constexpr std::string_view kGate = ".experts.gate_proj";
  std::vector<Output> outputs;
  const std::vector<NamedTensor>& tensors = input.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor& tensor = tensors[i];
    if (is_static_scale(tensor.name) || is_exact_scale(tensor.name)) continue;
    if (container != Container::kGguf && tensor.name.ends_with(kGate)) {
      const std::string layer = tensor.name.substr(0, tensor.name.size() - kGate.size());
      outputs.push_back(merged_experts(tensor, tensors[++i], layer + ".experts.gate_up_proj"));
      continue;
    }
    if (tensor.name == per_layer_part(0)) {
      outputs.push_back(joined_tables(tensors, i, input.config().layer_count()));
      i += outputs.back().columns.size() - 1;
      continue;
    }
    Output output;
    output.spec = {tensor.name, tensor.view.dtype, tensor.view.shape};
    output.rows = {{&tensor, 0, tensor.view.rows()}};
    outputs.push_back(std::move(output));
  }
  return outputs;
}

TensorSpec scale_tensor_of(const Output& output) {
  const int64_t rows = *element_count(output.spec.shape) / output.spec.shape.back();
  return {scale_name(output.spec.name), output.spec.scale_dtype, {rows, output.codes->groups}};
}

const TensorView* exact_scales(const Checkpoint& input, const std::string& name) {
  return input.find(scale_name(name));
}

bool is_on_lattice(const Output& output) {
  return output.known_lattice || !all_tensors(output, [](const NamedTensor& tensor) {
           return block_elements(tensor.view.dtype) == 1 && !is_code_type(tensor.view.dtype);
         });
}

bool is_image(const Output& output) {
  const bool narrow = output.lattice == DType::kBF16 || output.lattice == DType::kF16;
  return !output.codes && !output.number && narrow && is_on_lattice(output);
}

}  // namespace carat
