#include "formats/convert.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/convert_plan.h"
#include "formats/converter.h"
#include "formats/names.h"
#include "formats/scheme_tensors.h"

namespace carat {
namespace {

bool stores_every_matrix(const Scheme& scheme, const Checkpoint& checkpoint) {
  return std::ranges::all_of(checkpoint.tensors(), [&](const NamedTensor& tensor) {
    if (tensor.view.shape.size() < 2 || is_router(tensor.name) || is_exact_scale(tensor.name)) return true;
    return is_stored_on(scheme.lattice_of(tensor.name), checkpoint.container(), tensor);
  });
}

/// What a producer is asked for by name: a tensor, or the scales of its codes.
struct Request {
  const Output* output;
  bool scales;
};

/// The tensors that the new checkpoint is written with, and what each name asks for.
struct Contents {
  std::vector<TensorSpec> tensors;
  std::unordered_map<std::string, Request> requests;
};

/// In a GGUF file scales of codes are tensors of their own.
Contents list_contents(const std::vector<Output>& outputs, Container container) {
  Contents contents;
  std::vector<TensorSpec> beside;
  for (const Output& output : outputs) {
    contents.tensors.push_back(output.spec);
    contents.requests[output.spec.name] = {&output, false};
    if (!output.codes || !output.codes->has_scales) continue;
    const TensorSpec scales = scale_tensor_of(output);
    contents.requests[scales.name] = {&output, true};
    if (container == Container::kGguf) beside.push_back(scales);
  }
  std::ranges::move(beside, std::back_inserter(contents.tensors));
  return contents;
}

/// Of the given scales, those of the scheme: calibration measures more.
void count_static_scales(const Checkpoint& input, const ConvertOptions& options, const std::vector<Output>& outputs,
                         Conversion& conversion) {
  std::unordered_set<std::string_view> known;
  if (options.scheme != nullptr) {
    for (const TensorSpec& asked : static_scales(input.config(), *options.scheme)) {
      const auto given = options.scales.find(asked.name);
      if (given != options.scales.end()) known.insert(given->first);
    }
  }
  for (const NamedTensor& tensor : input.tensors()) {
    if (is_static_scale(tensor.name)) known.insert(tensor.name);
  }
  for (const Output& output : outputs) {
    if (!output.number) continue;
    ++conversion.static_scales;
    known.erase(output.spec.name);
  }
  conversion.left_out_scales = static_cast<int64_t>(known.size());
}

void count_weights(const std::vector<Output>& outputs, Conversion& conversion) {
  for (const Output& output : outputs) {
    if (!is_weight(output)) continue;
    ++conversion.tensors;
    conversion.weights += static_cast<uint64_t>(*element_count(output.spec.shape));
  }
}

Result<OutputPlan> plan_for(const Checkpoint& input, Container container, const ConvertOptions& options) {
  const Scheme* recorded = built_in_scheme(input.config().scheme);
  return plan_outputs(input, container, options, options.scheme != nullptr ? options.scheme : recorded);
}

/// A folder of images of lattice values stays on the scheme of the input.
std::string scheme_of_output(const Checkpoint& input, const ConvertOptions& options, Container container,
                             const std::vector<Output>& outputs) {
  const std::string inputs = scheme_of(input);
  if (options.scheme == nullptr) return inputs;
  const bool keeps_lattice =
      container != Container::kGguf && !options.requantize && std::ranges::any_of(outputs, is_image);
  return keeps_lattice && !inputs.empty() ? inputs : options.scheme->name;
}

void take(const ConvertTally& tally, Conversion& conversion) {
  const Moves& moves = tally.moves;
  conversion.moved_weights = moves.weights;
  conversion.largest_move = moves.largest;
  conversion.relative_rms_move = moves.old_squares > 0 ? std::sqrt(moves.squares / moves.old_squares) : 0.0;
  conversion.recovered_groups = tally.recovered_groups;
  conversion.rounded_groups = tally.rounded_groups;
  conversion.unfit_scales = tally.unfit_scales;
  conversion.rounded_scales = tally.rounded_scales;
  conversion.largest_scale_change = tally.largest_scale_change;
}

}  // namespace

std::string scheme_of(const Checkpoint& checkpoint) {
  if (!checkpoint.config().scheme.empty()) return checkpoint.config().scheme;
  for (const std::string_view name : {"q4_0", "q8_0", "bf16", "f16", "f32"}) {
    if (stores_every_matrix(*built_in_scheme(name), checkpoint)) return std::string(name);
  }
  return {};
}

Result<std::string> check_conversion(const Checkpoint& input, const std::filesystem::path& target,
                                     const ConvertOptions& options) {
  const Container container = options.container.value_or(container_of_path(target));
  CARAT_TRY(const OutputPlan plan, plan_for(input, container, options));
  return scheme_of_output(input, options, container, plan.outputs);
}

Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const ConvertOptions& options, const ConvertProgress& progress) {
  Conversion conversion;
  conversion.container = options.container.value_or(container_of_path(target));
  CARAT_TRY(OutputPlan plan, plan_for(input, conversion.container, options));
  conversion.scheme = scheme_of_output(input, options, conversion.container, plan.outputs);
  count_weights(plan.outputs, conversion);
  count_static_scales(input, options, plan.outputs, conversion);
  ModelConfig config = input.config();
  config.scheme = conversion.scheme;
  config.provenance = options.provenance;

  for (bool widened = false;; widened = true) {
    const Contents contents = list_contents(plan.outputs, conversion.container);
    Converter converter(input, plan, conversion.container, options, progress);
    const auto written = write_checkpoint(target, conversion.container, config, input.vocabulary(), contents.tensors,
                                          [&](const TensorSpec& spec, const ByteSink& sink) {
                                            const Request& request = contents.requests.at(spec.name);
                                            return request.scales ? converter.produce_scales(*request.output, sink)
                                                                  : converter.produce(*request.output, sink);
                                          });
    if (!written.ok() && converter.met_wide_scales() && !widened) {
      CARAT_TRY_STATUS(converter.widen_scales(plan.outputs));
      continue;
    }
    CARAT_TRY(conversion.bytes, written);
    take(converter.tally(), conversion);
    return conversion;
  }
}

}  // namespace carat
