#include "eval/same_run.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>
#include <vector>

#include "base/mapped_pages.h"
#include "lattice/lattice.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr int64_t kSampledRows = 8;

/// Half a step, and a little for rules that round with a scale which is rounded itself afterwards.
constexpr double kRoundingReach = 0.52;

/// Part of the weights beyond which they did not move by rounding alone. docs/report.md has what was measured.
constexpr double kMostMoved = 0.01;

constexpr double kNotTelling = std::numeric_limits<double>::infinity();

/// Weights that were compared, and how many of them are farther apart than rounding brings them.
struct Share {
  uint64_t seen = 0;
  uint64_t moved = 0;

  double value() const { return seen == 0 ? 0.0 : static_cast<double>(moved) / static_cast<double>(seen); }
};

struct WeightShares {
  Share rounded;  // on a lattice in one of the checkpoints
  Share kept;     // plain floats in both
};

/// How far the originals of these floats can lie from them, relative to their magnitudes: half a unit in the last place
/// of the narrowest type that holds them, at most. A file may hold them in a wider one.
double float_reach(std::span<const float> values) {
  const auto is_bf16 = [](float value) { return float_from_bf16(bf16_from_float(value)) == value; };
  const auto is_f16 = [](float value) { return float_from_f16(f16_from_float(value)) == value; };
  if (std::all_of(values.begin(), values.end(), is_bf16)) return 0x1p-8;
  return std::all_of(values.begin(), values.end(), is_f16) ? 0x1p-11 : 0x1p-24;
}

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

/// Neighbours in a row that have a scale in common. Floats may be the image of blocks of 32.
int64_t group_of(const TensorView& view) {
  if (is_code_type(view.dtype)) return view.columns() / std::max<int64_t>(view.scales.groups, 1);
  return block_elements(view.dtype) == 256 ? 16 : 32;
}

/// The least distance of two different values of a group: the step of their lattice, or a multiple of it. 0 when there
/// are no two, or values that are not finite.
double smallest_gap(std::span<const float> group, std::vector<float>& sorted) {
  if (!std::all_of(group.begin(), group.end(), [](float value) { return std::isfinite(value); })) return 0.0;
  sorted.assign(group.begin(), group.end());
  std::sort(sorted.begin(), sorted.end());
  double gap = 0.0;
  for (size_t i = 1; i < sorted.size(); ++i) {
    const double distance = static_cast<double>(sorted[i]) - static_cast<double>(sorted[i - 1]);
    if (distance > 0.0 && (gap == 0.0 || distance < gap)) gap = distance;
  }
  return gap;
}

/// Values of a tensor, row after row, and how far the number that each was rounded from can lie.
struct SampledRows {
  std::vector<float> values;
  std::vector<double> reach = {};  // kNotTelling of the ends of a lattice, which clip
  bool on_lattice = false;
};

/// Plain floats of a matrix have close neighbours among 32 of them; on a lattice of up to 8 bits nothing is closer than
/// a 127th of the largest magnitude.
bool looks_coarse(std::span<const float> group, double gap) {
  double largest = 0.0;
  for (const float value : group) largest = std::max(largest, std::fabs(static_cast<double>(value)));
  return gap > largest / 200.0;
}

void reach_on_lattice(std::span<const float> group, double gap, std::span<double> reach) {
  const auto [low, high] = std::minmax_element(group.begin(), group.end());
  for (size_t i = 0; i < group.size(); ++i) {
    const bool inside = group[i] > *low && group[i] < *high;
    reach[i] = inside && gap > 0.0 ? kRoundingReach * gap : kNotTelling;
  }
}

std::vector<float> sample_values(const TensorView& view) {
  const int64_t rows = std::min(view.rows(), kSampledRows);
  const auto columns = static_cast<size_t>(view.columns());
  std::vector<float> values(static_cast<size_t>(rows) * columns);
  for (int64_t i = 0; i < rows; ++i) {
    decode_row(view, i * view.rows() / rows, std::span(values).subspan(static_cast<size_t>(i) * columns, columns));
  }
  return values;
}

/// Fills `sample.reach` as of a tensor on a lattice, and tells whether its values may well lie on one.
bool find_steps(const TensorView& view, SampledRows& sample) {
  const auto columns = static_cast<size_t>(view.columns());
  const auto length = static_cast<size_t>(group_of(view));
  std::vector<float> sorted;
  size_t groups = 0;
  size_t coarse = 0;
  for (size_t begin = 0; begin < sample.values.size();) {
    const size_t count = std::min(length, columns - begin % columns);
    const auto group = std::span(sample.values).subspan(begin, count);
    const double gap = smallest_gap(group, sorted);
    reach_on_lattice(group, gap, std::span(sample.reach).subspan(begin, count));
    groups += gap > 0.0 ? 1 : 0;
    coarse += looks_coarse(group, gap) ? 1 : 0;
    begin += count;
  }
  return 2 * coarse > groups;
}

SampledRows sample_rows(const TensorView& view) {
  SampledRows sample = {.values = sample_values(view)};
  sample.reach.resize(sample.values.size());
  const bool looks_quantized = find_steps(view, sample);
  // Vectors hold numbers near 1, whose own spacing in a narrow type looks like a lattice.
  sample.on_lattice = !is_float(view.dtype) || (view.shape.size() > 1 && looks_quantized);
  if (sample.on_lattice) return sample;
  const double relative = float_reach(sample.values);
  for (size_t i = 0; i < sample.values.size(); ++i) {
    sample.reach[i] = std::fabs(static_cast<double>(sample.values[i])) * relative;
  }
  return sample;
}

void compare_tensor(const TensorView& model, const TensorView& reference, WeightShares& shares) {
  const SampledRows a = sample_rows(model);
  const SampledRows b = sample_rows(reference);
  const bool kept = !a.on_lattice && !b.on_lattice;
  Share& share = kept ? shares.kept : shares.rounded;
  for (size_t i = 0; i < a.values.size(); ++i) {
    // One of two floats is usually the other one rounded; on lattices both sides may be rounded.
    const double reach = kept ? std::max(a.reach[i], b.reach[i]) : a.reach[i] + b.reach[i];
    if (reach == kNotTelling) continue;
    ++share.seen;
    const double distance = std::fabs(static_cast<double>(a.values[i]) - static_cast<double>(b.values[i]));
    if (!(distance <= reach)) ++share.moved;
  }
}

/// What tells that the models have different shapes; empty when they have the same.
std::string difference_of_shapes(const Checkpoint& model, const Checkpoint& reference) {
  const int64_t layers = model.config().layer_count();
  const int64_t other_layers = reference.config().layer_count();
  if (layers != other_layers) {
    return "the one has " + std::to_string(layers) + " layers, the other " + std::to_string(other_layers);
  }
  for (const NamedTensor& tensor : model.tensors()) {
    const TensorView* other = reference.find(tensor.name);
    if (other == nullptr || other->shape == tensor.view.shape) continue;
    return tensor.name + " is " + shape_text(tensor.view.shape) + " in the one and " + shape_text(other->shape) +
           " in the other";
  }
  return {};
}

WeightShares compare_weights(const Checkpoint& model, const Checkpoint& reference) {
  WeightShares shares;
  for (const NamedTensor& tensor : model.tensors()) {
    const TensorView* other = reference.find(tensor.name);
    const bool scale_of_activations = tensor.name.ends_with("_scale");
    if (other == nullptr || scale_of_activations) continue;
    compare_tensor(tensor.view, *other, shares);
    // A look at a few rows brings their neighbourhood with it.
    release_mapped_pages(tensor.view.data);
    release_mapped_pages(other->data);
  }
  return shares;
}

/// Whether both say how they were made, and one of them has been trained otherwise than the other.
bool trained_apart(const Provenance& model, const Provenance& reference) {
  if (model.empty() || reference.empty()) return false;
  const auto trainings = [](const Provenance& provenance) {
    std::vector<const ProvenanceStep*> steps;
    for (const ProvenanceStep& step : provenance) {
      if (step.command == "train") steps.push_back(&step);
    }
    return steps;
  };
  const auto same = [](const ProvenanceStep* a, const ProvenanceStep* b) {
    return a->tool == b->tool && a->recipe == b->recipe && a->sources == b->sources;
  };
  const auto ours = trainings(model);
  const auto theirs = trainings(reference);
  return !std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end(), same);
}

std::string percent(const Share& share) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2g %%", 100.0 * share.value());
  return text;
}

std::string joined(const std::vector<std::string>& signs) {
  std::string text;
  for (size_t i = 0; i < signs.size(); ++i) {
    if (i > 0) text += i + 1 < signs.size() ? ", " : " and ";
    text += signs[i];
  }
  return text;
}

/// What tells that training lies between the two; empty when nothing does.
std::string signs_of_training(const Checkpoint& model, const Checkpoint& reference) {
  std::vector<std::string> signs;
  if (trained_apart(model.config().provenance, reference.config().provenance)) {
    signs.push_back("the two record different runs of training");
  }
  const WeightShares shares = compare_weights(model, reference);
  const bool kept_moved = shares.kept.value() > kMostMoved;
  if (kept_moved) {
    signs.push_back(percent(shares.kept) + " of the weights that neither has on a lattice differ");
  }
  if (shares.rounded.value() > kMostMoved) {
    signs.push_back(percent(shares.rounded) + " of the quantized weights are more than half a step apart" +
                    (kept_moved ? "" : " (rounding by GPTQ and the like can do that too)"));
  }
  return joined(signs);
}

std::string warning_of(const Checkpoint& model, const Checkpoint& reference, const std::string& signs) {
  return reference.path().string() + " is not what " + model.path().string() +
         " was before its weights were rounded: " + signs +
         ". KL divergence, agreement and changes of probabilities then count what training changed together with what "
         "quantization costs, and less of it is not a better quantization. To see the cost of quantization, take the "
         "unrounded weights of the same training for reference; of a checkpoint from quantization-aware training those "
         "are its own, often published as \"unquantized\". The perplexities can be compared all the same.";
}

}  // namespace

RunComparison relate_runs(const Checkpoint& model, const Checkpoint& reference) {
  std::string signs = difference_of_shapes(model, reference);
  if (signs.empty()) signs = signs_of_training(model, reference);
  if (signs.empty()) return {};
  return {.relation = RunRelation::kOther, .warning = warning_of(model, reference, signs)};
}

}  // namespace carat
