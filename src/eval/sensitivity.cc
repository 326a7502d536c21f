#include "eval/sensitivity.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <unordered_map>

#include "eval/kept_logits.h"
#include "eval/quantized_tensor.h"
#include "formats/names.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"

namespace carat {
namespace {

constexpr std::string_view kTablePart = "model.embed_tokens_per_layer.";
constexpr std::string_view kTable = "model.embed_tokens_per_layer.weight";

bool is_weight(const NamedTensor& tensor) { return !is_static_scale(tensor.name) && !is_exact_scale(tensor.name); }

bool is_matrix(const NamedTensor& tensor) { return is_weight(tensor) && tensor.view.shape.size() > 1; }

bool is_part_of_table(const std::string& name) { return name.starts_with(kTablePart) && name != kTable; }

/// The lattice of a scheme on which nothing of a tensor moves.
LatticeOption lattice_as_is(const TensorView& view) {
  if (can_encode(view.dtype)) return {.lattice = view.dtype};
  if (!is_code_type(view.dtype)) return {.lattice = DType::kF32};
  const int64_t group = view.scales.groups == 1 ? 0 : view.columns() / view.scales.groups;
  return {.lattice = storable(Container::kSafetensors, view.dtype, {}, view.shape), .group = group};
}

bool is_on(const TensorView& view, DType lattice, int64_t group) {
  const LatticeOption own = lattice_as_is(view);
  return own.lattice == lattice && own.group == (group == view.columns() ? 0 : group);
}

/// Nothing when it has no more bits.
std::optional<DType> wider_lattice(DType lattice) {
  if (lattice == DType::kQ4_0) return DType::kQ8_0;
  if (lattice == DType::kI4 || lattice == DType::kI2) return DType::kI8;
  return std::nullopt;
}

uint64_t bytes_on(Container container, const NamedTensor& tensor, DType lattice, int64_t group) {
  const Shape& shape = tensor.view.shape;
  const DType stored = storable(container, lattice, tensor.name, shape);
  const uint64_t bytes = tensor_bytes(stored, shape).value();  // a lattice that fits the rows
  if (!is_code_type(stored)) return bytes;
  const int64_t groups = group == 0 ? 1 : tensor.view.columns() / group;
  return bytes + static_cast<uint64_t>(tensor.view.rows() * groups) * sizeof(float);
}

/// What is known of a trial before it is made.
TensorSensitivity before_trial(Container container, const SensitivityTrial& trial) {
  const TensorView& view = trial.tensor->view;
  return {
      .tensor = trial.tensor->name,
      .stored = std::string(dtype_name(view.dtype)),
      .lattice = lattice_text(trial.lattice, trial.group),
      .dtype = trial.lattice,
      .group = trial.group,
      .bytes_before = view.data.size() + view.scales.data.size(),
      .bytes_after = bytes_on(container, *trial.tensor, trial.lattice, trial.group),
      .relative_error = 0,
      .mean_kld = {},
  };
}

/// Makes one trial after the other.
class Trials {
 public:
  Trials(Model& model, Container container, const EvalTask& task, size_t count)
      : model_(model),
        container_(container),
        task_(task),
        text_tokens_(task.text.tokens()),
        total_(text_tokens_ * (1 + static_cast<int64_t>(count))) {}

  Status run_reference(uint64_t memory) {
    CARAT_TRY(logits_, KeptLogits::of(model_, next_task(), memory));
    return success();
  }

  Result<TensorSensitivity> make(const SensitivityTrial& trial) {
    CARAT_TRY(const QuantizedTensor quantized,
              quantize_tensor(*trial.tensor, trial.lattice, trial.group, task_.threads));
    TensorSensitivity found = before_trial(container_, trial);
    found.relative_error = quantized.relative_error;
    CARAT_TRY(found.mean_kld, kld_with(quantized, trial));
    return found;
  }

 private:
  /// The task of the next run: its progress goes on where the one before ended.
  EvalTask next_task() {
    const int64_t before = text_tokens_ * runs_++;
    return {task_.text, task_.windows, task_.threads,
            [this, before](int64_t done, int64_t) { return task_.progress(before + done, total_); }};
  }

  Result<Estimate> kld_with(const QuantizedTensor& quantized, const SensitivityTrial& trial) {
    const EvalTask task = next_task();
    if (quantized.moved == 0) {
      if (!task.progress(text_tokens_, text_tokens_)) return Error{ErrorKind::kInterrupted, "interrupted"};
      return Estimate{};
    }
    CARAT_TRY_STATUS(model_.compute_with(NamedTensor{trial.tensor->name, quantized.view()}));
    Result<Estimate> found = logits_->mean_kld(model_, task);
    CARAT_TRY_STATUS(model_.compute_with(std::nullopt));
    if (found.ok() || found.error().kind == ErrorKind::kInterrupted) return found;
    return Error{found.error().kind, "with " + trial.tensor->name + " as " + lattice_text(trial.lattice, trial.group) +
                                         ": " + found.error().message};
  }

  Model& model_;
  Container container_;
  const EvalTask& task_;
  int64_t text_tokens_;
  int64_t total_;
  int64_t runs_ = 0;
  std::optional<KeptLogits> logits_;
};

LatticeOption option_of(const TensorSensitivity& found) {
  return {.lattice = found.dtype, .group = found.group, .bytes = found.bytes_after, .kld = found.mean_kld.value};
}

/// `lattice_as_is` if `container` can hold it, with its bytes there.
LatticeOption option_as_is(Container container, const NamedTensor& tensor) {
  LatticeOption own = lattice_as_is(tensor.view);
  const int64_t length = own.group == 0 ? tensor.view.columns() : own.group;
  if (container == Container::kGguf && is_code_type(own.lattice) && !block_type_of(own.lattice, length)) {
    own = {.lattice = DType::kF32};
  }
  own.bytes = bytes_on(container, tensor, own.lattice, own.group);
  return own;
}

void rank(std::vector<TensorSensitivity>& found) {
  std::ranges::stable_sort(found, std::ranges::greater{}, [](const auto& one) { return one.mean_kld.value; });
}

}  // namespace

std::string lattice_text(DType lattice, int64_t group) {
  return std::string(dtype_name(lattice)) + (group == 0 ? "" : "/" + std::to_string(group));
}

Container container_of(const Scheme& scheme) {
  return has_codes(scheme) ? Container::kCompressedTensors : Container::kGguf;
}

std::vector<SensitivityTrial> sensitivity_trials(const Checkpoint& checkpoint, const Scheme& scheme, bool wider) {
  std::vector<SensitivityTrial> trials;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (!is_matrix(tensor) || is_part_of_table(tensor.name)) continue;
    const SchemeRule* rule = scheme.rule_for(tensor.name);
    if (rule == nullptr || rule->lattice == DType::kF32 || is_on(tensor.view, rule->lattice, rule->group)) continue;
    if (!fits_rows(tensor.view.shape, rule->lattice, rule->group)) continue;
    trials.push_back({&tensor, rule->lattice, rule->group, false});
  }
  if (!wider) return trials;
  for (size_t i = 0, count = trials.size(); i < count; ++i) {
    const SensitivityTrial trial = trials[i];
    const std::optional<DType> lattice = wider_lattice(trial.lattice);
    if (!lattice || is_on(trial.tensor->view, *lattice, trial.group)) continue;
    trials.push_back({trial.tensor, *lattice, trial.group, true});
  }
  return trials;
}

Result<Sensitivity> measure_sensitivity(Model& model, const Scheme& scheme, std::span<const SensitivityTrial> trials,
                                        const EvalTask& task, uint64_t memory) {
  Trials runs(model, container_of(scheme), task, trials.size());
  CARAT_TRY_STATUS(runs.run_reference(memory));
  Sensitivity sensitivity;
  for (size_t i = 0; i < trials.size(); ++i) {
    Result<TensorSensitivity> found = runs.make(trials[i]);
    if (!found.ok() && found.error().kind == ErrorKind::kInterrupted) {
      sensitivity.left_out = trials.size() - i;
      break;
    }
    if (!found.ok()) return found.error();
    (trials[i].wider ? sensitivity.wider : sensitivity.ranked).push_back(*std::move(found));
  }
  rank(sensitivity.ranked);
  rank(sensitivity.wider);
  return sensitivity;
}

uint64_t largest_trial_bytes(std::span<const SensitivityTrial> trials) {
  uint64_t largest = 0;
  for (const SensitivityTrial& trial : trials) {
    // In memory codes have F32 scales as in a folder, and blocks are blocks as in a GGUF file.
    const Container container = is_code_type(trial.lattice) ? Container::kSafetensors : Container::kGguf;
    largest = std::max(largest, bytes_on(container, *trial.tensor, trial.lattice, trial.group));
  }
  return largest;
}

Sensitivity before_trials(const Scheme& scheme, std::span<const SensitivityTrial> trials) {
  Sensitivity sensitivity;
  for (const SensitivityTrial& trial : trials) {
    (trial.wider ? sensitivity.wider : sensitivity.ranked).push_back(before_trial(container_of(scheme), trial));
  }
  return sensitivity;
}

MixChoices mix_choices(const Checkpoint& checkpoint, const Scheme& scheme, const Sensitivity& measured) {
  const Container container = container_of(scheme);
  std::unordered_map<std::string_view, std::vector<LatticeOption>> tried;
  for (const auto* found : {&measured.ranked, &measured.wider}) {
    for (const TensorSensitivity& one : *found) tried[one.tensor].push_back(option_of(one));
  }
  MixChoices choices;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (!is_weight(tensor)) continue;
    if (!is_matrix(tensor)) {
      choices.fixed_bytes += bytes_on(container, tensor, DType::kF32, 0);
      continue;
    }
    TensorOptions options = {tensor.name, {option_as_is(container, tensor)}};
    std::ranges::copy(tried[tensor.name], std::back_inserter(options.options));
    choices.tensors.push_back(std::move(options));
  }
  return choices;
}

}  // namespace carat
