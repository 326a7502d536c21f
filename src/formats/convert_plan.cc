#include "formats/convert_plan.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>

#include "base/mapped_pages.h"
#include "formats/litertlm_tensors.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr std::string_view kPerLayerTable = "model.embed_tokens_per_layer.weight";

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
  joined.spec = {std::string(kPerLayerTable), part.dtype, {part.rows(), layers * part.columns()}};
  return joined;
}

/// The weights of `input` in the form that `container` has for them, with the types in which they are stored now. Only
/// GGUF knows the gates and ups of experts as tensors of their own.
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

std::string scale_name(const std::string& weight) { return weight + "_scale"; }

bool all_tensors(const Output& output, const auto& holds) {
  return std::ranges::all_of(output.rows, [&](const RowRange& rows) { return holds(*rows.tensor); });
}

bool fits_bf16(float value) { return float_from_bf16(bf16_from_float(value)) == value; }

/// Where a container keeps the scales of codes: bfloat16 if that holds them all, which compressed-tensors files have.
DType scale_type(Container container, const Output& output) {
  if (container != Container::kCompressedTensors || output.codes->origin != CodeOrigin::kCodes) return DType::kF32;
  const bool narrow = all_tensors(output, [](const NamedTensor& tensor) {
    const ScaleView& scales = tensor.view.scales;
    for (int64_t row = 0; row < tensor.view.rows() && scales.dtype != DType::kBF16; ++row) {
      for (int64_t group = 0; group < scales.groups; ++group) {
        if (!fits_bf16(scales.at(row, group))) return false;
      }
    }
    return true;
  });
  return narrow ? DType::kBF16 : DType::kF32;
}

class Planner {
 public:
  Planner(const Checkpoint& input, Container container, const ConvertOptions& options, const Scheme* lattices)
      : input_(input), container_(container), options_(options), lattices_(lattices) {}

  Status plan(Output& output) const {
    if (!output.columns.empty()) return plan_columns(output);
    CARAT_TRY(output.codes, code_plan(output));
    if (!output.codes) {
      output.lattice = lattices_ != nullptr ? lattices_->lattice_of(output.spec.name) : output.spec.dtype;
      output.spec.dtype = storable(container_, output.lattice, output.spec.name, output.spec.shape);
      return success();
    }
    if (container_ == Container::kGguf) return plan_blocks(output);
    output.spec.dtype = output.codes->type;
    output.spec.scale_groups = output.codes->groups;
    output.spec.scale_dtype = scale_type(container_, output);
    return success();
  }

 private:
  /// Codes stay as they are, the scales of each tensor beside those of the other.
  Status plan_columns(Output& output) const {
    if (container_ == Container::kGguf || options_.scheme != nullptr) {
      return refused(input_.path().string() + ": its per-layer table lies in " + std::to_string(output.columns.size()) +
                     " parts, which become one only in a folder and as they are; convert the bundle to a folder " +
                     "without a scheme, and that to what you want");
    }
    const DType packed = storable(container_, output.spec.dtype, output.spec.name, output.spec.shape);
    output.codes = CodePlan{CodeOrigin::kCodes, packed, static_cast<int64_t>(output.columns.size())};
    output.spec.dtype = packed;
    output.spec.scale_groups = output.codes->groups;
    return success();
  }

  /// Nothing for a tensor that is no integer codes in the output.
  Result<std::optional<CodePlan>> code_plan(const Output& output) const {
    const TensorView& view = output.rows.front().tensor->view;
    if (options_.scheme != nullptr) {
      const SchemeRule* rule = lattices_->rule_for(output.spec.name);
      if (rule == nullptr || !is_code_type(rule->lattice)) return std::optional<CodePlan>();
      CARAT_TRY(const int64_t groups, groups_of(*rule, output));
      return std::optional(CodePlan{origin_of(output, rule->lattice, groups), rule->lattice, groups});
    }
    if (is_code_type(view.dtype)) {
      const DType packed = storable(Container::kSafetensors, view.dtype, output.spec.name, output.spec.shape);
      return std::optional(CodePlan{CodeOrigin::kCodes, packed, view.scales.groups});
    }
    return container_ == Container::kGguf ? std::nullopt : carried_codes(output);
  }

  Result<int64_t> groups_of(const SchemeRule& rule, const Output& output) const {
    const int64_t columns = output.spec.shape.empty() ? 1 : output.spec.shape.back();
    const int64_t length = rule.group == 0 ? columns : rule.group;
    const bool whole = columns % length == 0 && row_bytes(rule.lattice, static_cast<uint64_t>(length)).has_value();
    if (whole && output.spec.shape.size() > 1) return columns / length;
    return refused(input_.path().string() + ": " + name_in(input_.container(), output.spec.name) + ": " +
                   shape_text(output.spec.shape) + " has no rows of whole groups of " + std::to_string(length) +
                   " codes of " + std::string(dtype_name(rule.lattice)) + ", as the scheme " + options_.scheme->name +
                   " asks for; change the rule");
  }

  CodeOrigin origin_of(const Output& output, DType codes, int64_t groups) const {
    const bool stored = all_tensors(output, [&](const NamedTensor& tensor) {
      return is_code_type(tensor.view.dtype) && code_bits(tensor.view.dtype) == code_bits(codes) &&
             tensor.view.scales.groups == groups;
    });
    if (stored) return CodeOrigin::kCodes;
    const bool carried = all_tensors(output, [&](const NamedTensor& tensor) { return carries(tensor, codes, groups); });
    return carried ? CodeOrigin::kBlocks : CodeOrigin::kValues;
  }

  /// Whether the blocks of a tensor hold such codes.
  bool carries(const NamedTensor& tensor, DType codes, int64_t groups) const {
    const TensorView& view = tensor.view;
    const auto widest = code_type_of(view.dtype);
    if (!widest || code_bits(codes) > code_bits(*widest) || view.columns() % groups != 0) return false;
    const auto length = static_cast<uint64_t>(view.columns() / groups);
    const auto bytes = row_bytes(view.dtype, length);
    const bool as_wide = code_bits(codes) == code_bits(*widest);
    if (!bytes || (!as_wide && block_type_of(codes, static_cast<int64_t>(length)) != view.dtype)) return false;
    if (const TensorView* exact = exact_scales(input_, tensor.name); exact != nullptr && exact->columns() != groups) {
      return false;
    }
    for (size_t begin = 0; begin < view.data.size(); begin += *bytes) {
      const Bytes blocks = view.data.subspan(begin, *bytes);
      if (!shared_scale(view.dtype, blocks, codes)) return false;
      release_mapped_pages(blocks);
    }
    return true;
  }

  /// The codes in the blocks of a GGUF file that records no built-in scheme.
  std::optional<CodePlan> carried_codes(const Output& output) const {
    const NamedTensor& tensor = *output.rows.front().tensor;
    const auto widest = code_type_of(tensor.view.dtype);
    if (lattices_ != nullptr || !widest || output.spec.shape.size() != 2 || is_router(output.spec.name)) return {};
    std::vector<int64_t> groups = {1};
    if (const TensorView* exact = exact_scales(input_, tensor.name)) {
      groups = {exact->columns()};
    } else if (tensor.name == kPerLayerTable) {
      groups.push_back(input_.config().layer_count());
    }
    for (const DType codes : {DType::kI2, DType::kI4, DType::kI8}) {
      for (const int64_t count : groups) {
        if (carries(tensor, codes, count)) return CodePlan{CodeOrigin::kBlocks, codes, count};
      }
    }
    return {};
  }

  Status plan_blocks(Output& output) const {
    if (output.codes->origin == CodeOrigin::kBlocks) {
      output.codes.reset();
      output.lattice = output.spec.dtype;
      return success();
    }
    const int64_t length = output.spec.shape.back() / output.codes->groups;
    const auto blocks = block_type_of(output.codes->type, length);
    if (!blocks) {
      return refused(input_.path().string() + ": " + name_in(input_.container(), output.spec.name) + ": GGUF has no " +
                     "blocks for codes of " + std::string(dtype_name(output.codes->type)) + " of which " +
                     std::to_string(length) + " share a scale; convert it to a folder");
    }
    output.spec.dtype = *blocks;
    return success();
  }

  const Checkpoint& input_;
  Container container_;
  const ConvertOptions& options_;
  const Scheme* lattices_;
};

/// GGUF and bundles have vectors in F32, whatever type they had before. In a folder of codes they become BF16 where the
/// float matrices are BF16 and no value of a vector is moved by it.
void narrow_vectors(std::vector<Output>& outputs) {
  const bool any_codes = std::ranges::any_of(outputs, [](const Output& output) { return output.codes.has_value(); });
  const bool narrow_matrices = std::ranges::all_of(outputs, [](const Output& output) {
    return output.codes || output.spec.shape.size() < 2 || output.spec.dtype == DType::kBF16;
  });
  if (!any_codes || !narrow_matrices) return;
  for (Output& output : outputs) {
    if (output.spec.shape.size() > 1) continue;
    const std::vector<float> values = decode_tensor(output.rows.front().tensor->view);
    if (std::ranges::all_of(values, fits_bf16)) output.spec.dtype = DType::kBF16;
  }
}

/// The scales beside blocks that stay as they are.
std::vector<Output> kept_exact_scales(const Checkpoint& input, const std::vector<Output>& outputs) {
  std::vector<Output> kept;
  for (const Output& output : outputs) {
    const bool stays = !output.codes && !output.number && output.lattice == output.rows.front().tensor->view.dtype;
    const auto scales = std::ranges::find(input.tensors(), scale_name(output.spec.name), &NamedTensor::name);
    if (!stays || scales == input.tensors().end()) continue;
    Output beside;
    beside.spec = {scales->name, DType::kF32, scales->view.shape};
    beside.rows = {{&*scales, 0, scales->view.rows()}};
    kept.push_back(std::move(beside));
  }
  return kept;
}

/// Of the static quantizers that a model of this shape may have, those of the new checkpoint.
Result<std::vector<Output>> plan_static_scales(const Checkpoint& input, const ConvertOptions& options) {
  std::unordered_set<std::string> wanted;
  if (options.scheme != nullptr) {
    for (TensorSpec& spec : static_scales(input.config(), *options.scheme)) wanted.insert(std::move(spec.name));
  }
  std::vector<Output> outputs;
  for (const TensorSpec& spec : static_scales(input.config())) {
    if (options.scheme != nullptr && !wanted.contains(spec.name)) continue;
    Output output;
    output.spec = spec;
    const TensorView* found = input.find(spec.name);
    if (const auto given = options.scales.find(spec.name); given != options.scales.end()) {
      output.number = given->second;
    } else if (found != nullptr) {
      output.number = decode_tensor(*found).front();
    } else if (options.scheme != nullptr) {
      return refused(input.path().string() + ": " + spec.name + ": the scheme " + in_quotes(options.scheme->name) +
                     " asks for a static quantizer, and the model has no scale for it; measure the scales on a text " +
                     "with --calibration TEXT");
    }
    if (output.number) outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace

TensorSpec scale_tensor_of(const Output& output) {
  const int64_t rows = *element_count(output.spec.shape) / output.spec.shape.back();
  return {scale_name(output.spec.name), output.spec.scale_dtype, {rows, output.codes->groups}};
}

const TensorView* exact_scales(const Checkpoint& input, const std::string& name) {
  return input.find(scale_name(name));
}

Result<std::vector<Output>> plan_outputs(const Checkpoint& input, Container container, const ConvertOptions& options,
                                         const Scheme* lattices) {
  const Planner planner(input, container, options, lattices);
  std::vector<Output> outputs = arrange(input, container);
  for (Output& output : outputs) CARAT_TRY_STATUS(planner.plan(output));
  const bool wide_vectors = input.container() == Container::kGguf || input.container() == Container::kLitertlm;
  if (wide_vectors && container != Container::kGguf && options.scheme == nullptr) narrow_vectors(outputs);
  if (container == Container::kGguf && !options.static_scales) return outputs;
  std::vector<Output> exact;
  if (container == Container::kGguf) exact = kept_exact_scales(input, outputs);
  CARAT_TRY(std::vector<Output> quantizers, plan_static_scales(input, options));
  std::ranges::move(quantizers, std::back_inserter(outputs));
  std::ranges::move(exact, std::back_inserter(outputs));
  return outputs;
}

}  // namespace carat
