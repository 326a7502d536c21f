#include "formats/convert_plan.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>

#include "base/mapped_pages.h"
#include "formats/convert_survey.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

/// Whether `encode` makes such blocks, and they hold codes.
bool is_block_lattice(DType dtype) { return can_encode(dtype) && code_type_of(dtype).has_value(); }

class Planner {
 public:
  Planner(const Checkpoint& input, Container container, const ConvertOptions& options, const Scheme* lattices)
      : input_(input), container_(container), options_(options), lattices_(lattices) {}

  Status plan(Output& output) const {
    if (!output.columns.empty()) return plan_columns(output);
    const SchemeRule asked = asked_of(output);
    CARAT_TRY(output.codes, code_plan(output, asked));
    if (output.codes) return container_ == Container::kGguf ? plan_blocks(output) : plan_folder(output);
    output.lattice = asked.lattice;
    output.spec.dtype = storable(container_, output.lattice, output.spec.name, output.spec.shape);
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
    const auto groups = static_cast<int64_t>(output.columns.size());
    output.codes = CodePlan{.origin = CodeOrigin::kCodes, .type = packed, .groups = groups, .has_scales = true};
    output.spec.dtype = packed;
    output.spec.scale_groups = groups;
    return success();
  }

  /// The rule of the scheme, or the type in which the tensor is stored.
  SchemeRule asked_of(const Output& output) const {
    if (lattices_ == nullptr) return {"*", output.spec.dtype};
    const SchemeRule* rule = lattices_->rule_for(output.spec.name);
    return rule == nullptr ? SchemeRule{"*", DType::kF32} : *rule;
  }

  /// Nothing for a tensor whose values, or stored bytes, are all that counts.
  Result<std::optional<CodePlan>> code_plan(const Output& output, const SchemeRule& asked) const {
    const TensorView& view = output.rows.front().tensor->view;
    if (options_.scheme == nullptr && is_code_type(view.dtype)) {
      const DType packed = storable(Container::kSafetensors, view.dtype, output.spec.name, output.spec.shape);
      return std::optional(
          CodePlan{.origin = CodeOrigin::kCodes,
                   .type = packed,
                   .groups = view.scales.groups,
                   .has_scales = can_have_scales(output, view.scales.groups) && !becomes_floats(output, asked)});
    }
    if (is_code_type(asked.lattice)) {
      CARAT_TRY(const int64_t groups, groups_of(asked, output));
      return std::optional(CodePlan{.origin = origin_of(output, asked.lattice, groups),
                                    .type = asked.lattice,
                                    .groups = groups,
                                    .asked = asked,
                                    .has_scales = container_ != Container::kGguf || options_.static_scales});
    }
    if (const auto carried = carried_codes(output)) return carried;
    if (is_block_lattice(asked.lattice)) return plan_of_blocks(output, asked);
    return std::optional<CodePlan>();
  }

  /// A folder of the gemma method has one scale in a row, or one for each layer; more groups than that become floats.
  bool can_have_scales(const Output& output, int64_t groups) const {
    if (container_ == Container::kGguf) return options_.static_scales;
    const bool one_for_each_layer = output.spec.name == kPerLayerTableName && groups == input_.config().layer_count();
    return container_ != Container::kSafetensors || groups == 1 || one_for_each_layer;
  }

  /// Whether stored codes stand for blocks, or have scales that only a folder with both signs takes, and go to a folder
  /// of the gemma method.
  bool becomes_floats(const Output& output, const SchemeRule& asked) const {
    if (container_ != Container::kSafetensors) return false;
    return is_block_lattice(asked.lattice) || !all_tensors(output, [](const NamedTensor& tensor) {
             const ScaleView& scales = tensor.view.scales;
             for (int64_t i = 0; i < tensor.view.rows() * scales.groups; ++i) {
               if (scales.at(i / scales.groups, i % scales.groups) < 0) return false;
             }
             release_mapped_pages(scales.data);
             return true;
           });
  }

  /// Codes that lie on the lattice of a block type; nothing where the input has those blocks and they stay.
  Result<std::optional<CodePlan>> plan_of_blocks(const Output& output, const SchemeRule& asked) const {
    const bool beside = codes_for_blocks(container_, asked.lattice, output.spec.name, output.spec.shape).has_value();
    const bool has_them =
        all_tensors(output, [&](const NamedTensor& tensor) { return tensor.view.dtype == asked.lattice; });
    if (has_them && !beside) return std::optional<CodePlan>();
    const int64_t columns = output.spec.shape.empty() ? 1 : output.spec.shape.back();
    const int64_t length = block_elements(asked.lattice);
    if (columns % length != 0) return refuse_groups(asked.lattice, length, output);
    const DType codes = *code_type_of(asked.lattice);
    const CodeOrigin origin = has_them                                     ? CodeOrigin::kBlocks
                              : has_codes(output, codes, columns / length) ? CodeOrigin::kCodes
                                                                           : CodeOrigin::kRecovered;
    return std::optional(
        CodePlan{.origin = origin, .type = codes, .groups = columns / length, .asked = asked, .has_scales = beside});
  }

  Result<int64_t> groups_of(const SchemeRule& rule, const Output& output) const {
    const int64_t columns = output.spec.shape.empty() ? 1 : output.spec.shape.back();
    const int64_t length = rule.group == 0 ? columns : rule.group;
    const bool whole = columns % length == 0 && row_bytes(rule.lattice, static_cast<uint64_t>(length)).has_value();
    if (whole && output.spec.shape.size() > 1) return columns / length;
    return refuse_groups(rule.lattice, length, output);
  }

  Error refuse_groups(DType lattice, int64_t length, const Output& output) const {
    return refused(input_.path().string() + ": " + name_in(input_.container(), output.spec.name) + ": " +
                   shape_text(output.spec.shape) + " has no rows of whole groups of " + std::to_string(length) +
                   " values of " + std::string(dtype_name(lattice)) + ", as the scheme " + lattices_->name +
                   " asks for; change the rule");
  }

  static bool has_codes(const Output& output, DType codes, int64_t groups) {
    return all_tensors(output, [&](const NamedTensor& tensor) {
      return is_code_type(tensor.view.dtype) && code_bits(tensor.view.dtype) == code_bits(codes) &&
             tensor.view.scales.groups == groups;
    });
  }

  CodeOrigin origin_of(const Output& output, DType codes, int64_t groups) const {
    if (has_codes(output, codes, groups)) return CodeOrigin::kCodes;
    const bool carried = all_tensors(output, [&](const NamedTensor& tensor) { return carries(tensor, codes, groups); });
    return carried ? CodeOrigin::kSharedBlocks : CodeOrigin::kRecovered;
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

  /// The codes in the blocks of a GGUF file that records no built-in scheme, in a folder.
  std::optional<CodePlan> carried_codes(const Output& output) const {
    const NamedTensor& tensor = *output.rows.front().tensor;
    const auto widest = code_type_of(tensor.view.dtype);
    const bool may = container_ != Container::kGguf && lattices_ == nullptr && widest.has_value();
    if (!may || output.spec.shape.size() != 2 || is_router(output.spec.name)) return {};
    std::vector<int64_t> groups = {1};
    if (const TensorView* exact = exact_scales(input_, tensor.name)) {
      groups = {exact->columns()};
    } else if (tensor.name == kPerLayerTableName) {
      groups.push_back(input_.config().layer_count());
    }
    for (const DType codes : {DType::kI2, DType::kI4, DType::kI8}) {
      for (const int64_t count : groups) {
        if (!carries(tensor, codes, count)) continue;
        return CodePlan{.origin = CodeOrigin::kSharedBlocks,
                        .type = codes,
                        .groups = count,
                        .has_scales = can_have_scales(output, count)};
      }
    }
    return {};
  }

  Status plan_folder(Output& output) const {
    const CodePlan& plan = *output.codes;
    output.spec.dtype = plan.has_scales ? plan.type : DType::kF32;
    output.spec.scale_groups = plan.has_scales ? plan.groups : 0;
    return success();
  }

  Status plan_blocks(Output& output) const {
    const CodePlan& plan = *output.codes;
    if (plan.origin == CodeOrigin::kSharedBlocks) {
      output.codes.reset();
      output.lattice = output.spec.dtype;
      return success();
    }
    if (is_block_lattice(plan.asked.lattice)) {
      output.spec.dtype = storable(container_, plan.asked.lattice, output.spec.name, output.spec.shape);
      return success();
    }
    const int64_t length = output.spec.shape.back() / plan.groups;
    const auto blocks = block_type_of(plan.type, length);
    if (!blocks) {
      return refused(input_.path().string() + ": " + name_in(input_.container(), output.spec.name) + ": GGUF has no " +
                     "blocks for codes of " + std::string(dtype_name(plan.type)) + " of which " +
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

bool fits_bf16(float value) { return float_from_bf16(bf16_from_float(value)) == value; }

/// GGUF and bundles have vectors and routers in F32, whatever type they had before. In a folder of codes, or of images
/// of lattice values, they become BF16 where the other float matrices are BF16 and no value is moved by it.
void narrow_vectors(std::vector<Output>& outputs) {
  const auto is_vector = [](const Output& output) {
    return output.spec.shape.size() < 2 || is_router(output.spec.name);
  };
  const bool narrow_matrices = std::ranges::all_of(outputs, [&](const Output& output) {
    return is_vector(output) || is_code_type(output.spec.dtype) || output.spec.dtype == DType::kBF16;
  });
  if (!narrow_matrices) return;
  for (Output& output : outputs) {
    if (!is_vector(output) || output.codes || output.spec.dtype != DType::kF32) continue;
    const std::vector<float> values = decode_tensor(output.rows.front().tensor->view);
    if (std::ranges::all_of(values, fits_bf16)) output.spec.dtype = DType::kBF16;
  }
}

/// Whether the vectors were wide only for the sake of the input's container, and go to one of narrow ones.
bool has_wide_vectors(const Checkpoint& input, Container container, const ConvertOptions& options,
                      const std::vector<Output>& outputs) {
  if (container == Container::kGguf) return false;
  if (std::ranges::any_of(outputs, is_image)) return true;
  const bool wide = input.container() == Container::kGguf || input.container() == Container::kLitertlm;
  return wide && options.scheme == nullptr &&
         std::ranges::any_of(outputs, [](const Output& output) { return is_code_type(output.spec.dtype); });
}

/// The scales beside blocks that stay as they are.
std::vector<Output> kept_exact_scales(const Checkpoint& input, const std::vector<Output>& outputs) {
  std::vector<Output> kept;
  for (const Output& output : outputs) {
    const bool stays = !output.codes && !output.number && output.lattice == output.rows.front().tensor->view.dtype;
    const TensorView* scales = exact_scales(input, output.spec.name);
    if (!stays || scales == nullptr) continue;
    const auto tensor =
        std::ranges::find_if(input.tensors(), [&](const NamedTensor& other) { return &other.view == scales; });
    Output beside;
    beside.spec = {tensor->name, DType::kF32, tensor->view.shape};
    beside.rows = {{&*tensor, 0, tensor->view.rows()}};
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

Result<OutputPlan> plan_outputs(const Checkpoint& input, Container container, const ConvertOptions& options,
                                const Scheme* lattices) {
  const Planner planner(input, container, options, lattices);
  OutputPlan plan;
  plan.outputs = arrange(input, container);
  for (Output& output : plan.outputs) CARAT_TRY_STATUS(planner.plan(output));
  std::vector<Output> beside;
  if (container != Container::kGguf || options.static_scales) {
    CARAT_TRY(beside, plan_static_scales(input, options));
    if (container == Container::kGguf)
      std::ranges::move(kept_exact_scales(input, plan.outputs), std::back_inserter(beside));
  }
  CARAT_TRY(plan.may_move, survey(input, container, options, plan.outputs));
  if (has_wide_vectors(input, container, options, plan.outputs)) narrow_vectors(plan.outputs);
  std::ranges::move(beside, std::back_inserter(plan.outputs));
  return plan;
}

}  // namespace carat
