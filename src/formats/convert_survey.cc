#include "formats/convert_survey.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <unordered_set>

#include "base/check.h"
#include "base/mapped_pages.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

// Groups of a tensor to look at: a few tell whether any lie on a lattice, more of them whether all do.
constexpr int64_t kQuickLook = 64;
constexpr int64_t kLook = 256;
constexpr size_t kMostNamed = 5;

bool is_float(const TensorView& view) { return block_elements(view.dtype) == 1 && !is_code_type(view.dtype); }

bool has_floats(const Output& output) {
  return !output.rows.empty() && all_tensors(output, [](const NamedTensor& tensor) { return is_float(tensor.view); });
}

bool is_matrix(const Output& output) { return output.spec.shape.size() > 1 && !is_router(output.spec.name); }

bool is_recovered(const Output& output) { return output.codes && output.codes->origin == CodeOrigin::kRecovered; }

/// The kinds of folders whose scales are BF16 or F32.
bool has_either_scales(Container container) {
  return container == Container::kCompressedTensors || container == Container::kMlx;
}

std::string percent(double part) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g %%", 100.0 * part);
  return text.data();
}

/// Calls `look` once for each tensor that gives rows.
void for_each_tensor(const Output& output, const auto& look) {
  std::unordered_set<const NamedTensor*> seen;
  for (const RowRange& rows : output.rows) {
    if (seen.insert(rows.tensor).second) look(*rows.tensor);
  }
}

/// Of the rows that are floats.
RecoveryCount sample(const Output& output, Container container) {
  RecoveryCount count;
  for_each_tensor(output, [&](const NamedTensor& tensor) {
    if (!is_float(tensor.view)) return;
    count.add(sample_recovery(tensor.view, lattice_to_find(output, container, tensor.view), kLook));
    release_mapped_pages(tensor.view.data);
  });
  return count;
}

/// Whether floats are the values of Q4_0, be it asked for or not: the lattice that most models are trained on.
bool lies_on_q4_0(const Output& output) {
  RecoveryCount count;
  for_each_tensor(output, [&](const NamedTensor& tensor) {
    const TensorView& view = tensor.view;
    const auto lattice = tensor_lattice({"*", DType::kQ4_0}, view.columns(), view.dtype, DType::kF32);
    if (lattice) count.add(sample_recovery(view, *lattice, kQuickLook));
    release_mapped_pages(view.data);
  });
  return was_quantized(count);
}

/// "row 3, columns 32 to 63", the first group of a tensor of floats that is not on the lattice as it is asked for.
std::string first_off(const TensorView& view, const TensorLattice& lattice) {
  std::vector<float> values(static_cast<size_t>(view.columns()));
  const auto length = static_cast<size_t>(lattice.group);
  std::vector<int8_t> codes(length);
  for (int64_t row = 0; row < view.rows(); ++row) {
    decode_row(view, row, values);
    for (size_t first = 0; first < values.size(); first += length) {
      const std::span<const float> group = std::span(values).subspan(first, length);
      if (recover_group(lattice.rule, group, codes).outcome == Recovery::kExact) continue;
      return "row " + std::to_string(row) + ", columns " + std::to_string(first) + " to " +
             std::to_string(first + length - 1);
    }
    release_mapped_pages(view.row(row));
  }
  return {};
}

bool has_scales_beyond_bf16(const ScaleView& scales, int64_t rows) {
  for (int64_t i = 0; i < rows * scales.groups; ++i) {
    const float scale = scales.at(i / scales.groups, i % scales.groups);
    if (float_from_bf16(bf16_from_float(scale)) != scale) return true;
  }
  return false;
}

/// Whether BF16 holds the scales of stored codes; all of them are looked at.
bool holds_stored_scales(const Output& output) {
  return all_tensors(output, [](const NamedTensor& tensor) {
    const ScaleView& scales = tensor.view.scales;
    const bool wide = scales.dtype != DType::kBF16 && has_scales_beyond_bf16(scales, tensor.view.rows());
    release_mapped_pages(scales.data);
    return !wide;
  });
}

/// Whether BF16 holds the scales of blocks, of which a part is looked at.
bool may_hold_block_scales(const Checkpoint& input, const Output& output) {
  std::array<int8_t, 32> codes{};
  return all_tensors(output, [&](const NamedTensor& tensor) {
    if (exact_scales(input, tensor.name) != nullptr) return false;
    const DType type = tensor.view.dtype;
    const auto size = static_cast<size_t>(block_bytes(type));
    const size_t blocks = tensor.view.data.size() / size, step = std::max<size_t>(1, blocks / kLook);
    CARAT_CHECK(codes.size() == static_cast<size_t>(block_elements(type)), "blocks of as many codes");
    for (size_t i = 0; i < blocks; i += step) {
      const auto scale = codes_of_block(type, tensor.view.data.subspan(i * size, size), codes);
      if (scale && float_from_bf16(bf16_from_float(*scale)) != *scale) return false;
    }
    release_mapped_pages(tensor.view.data);
    return true;
  });
}

class Surveyor {
 public:
  Surveyor(const Checkpoint& input, Container container, const ConvertOptions& options, std::vector<Output>& outputs)
      : input_(input), container_(container), options_(options), outputs_(outputs), counts_(outputs.size()) {}

  Result<bool> survey() {
    note_recorded_lattices();
    look();
    const bool may_move = options_.requantize || !quantized_;
    for (size_t i = 0; i < outputs_.size(); ++i) choose(outputs_[i], counts_[i]);
    if (!may_move) {
      CARAT_TRY_STATUS(refuse_what_is_off());
    }
    if (!options_.requantize && container_ == Container::kGguf) CARAT_TRY_STATUS(refuse_scales_that_blocks_round());
    return may_move;
  }

 private:
  void note_recorded_lattices() {
    const Scheme* recorded = built_in_scheme(input_.config().scheme);
    quantized_ = recorded != nullptr && has_blocks(*recorded);
    for (Output& output : outputs_) {
      if (!output.columns.empty()) {
        quantized_ = true;
        continue;
      }
      if (!has_floats(output)) {
        quantized_ = true;
        continue;
      }
      if (recorded == nullptr) continue;
      const DType lattice = recorded->lattice_of(output.spec.name);
      if (block_elements(lattice) > 1 && output.spec.shape.back() % block_elements(lattice) == 0) {
        output.known_lattice = lattice;
      }
    }
  }

  void look() {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      Output& output = outputs_[i];
      if (is_recovered(output)) {
        if (has_either_scales(container_) && output.codes->has_scales) output.spec.scale_dtype = DType::kBF16;
        counts_[i] = sample(output, container_);
        quantized_ = quantized_ || was_quantized(counts_[i]);
      }
      const bool unknown = options_.scheme != nullptr && !output.known_lattice && has_floats(output);
      if (unknown && is_matrix(output) && lies_on_q4_0(output)) {
        output.known_lattice = DType::kQ4_0;
        quantized_ = true;
      }
    }
  }

  void choose(Output& output, const RecoveryCount& count) const {
    if (!output.codes) return;
    CodePlan& plan = *output.codes;
    if (is_recovered(output) && !quantized_) plan.origin = CodeOrigin::kRounded;
    if (!has_either_scales(container_) || !plan.has_scales) return;
    bool narrow = false;
    if (plan.origin == CodeOrigin::kCodes) narrow = output.columns.empty() && holds_stored_scales(output);
    if (plan.origin == CodeOrigin::kBlocks) narrow = may_hold_block_scales(input_, output);
    if (plan.origin == CodeOrigin::kRecovered) narrow = count.scale_unfit == 0;
    // The rule of Q4_0 has such scales, that of others has not.
    if (plan.origin == CodeOrigin::kRounded) narrow = plan.asked.lattice == DType::kQ4_0;
    output.spec.scale_dtype = narrow ? DType::kBF16 : DType::kF32;
  }

  /// Of the tensors that a lattice is asked for, those whose samples are not on it, or only with scales that its blocks
  /// do not have.
  Status refuse_what_is_off() const {
    std::string named;
    size_t off = 0, asked = 0;
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const RecoveryCount& count = counts_[i];
      asked += is_recovered(outputs_[i]);
      const bool wide_scales_do = has_either_scales(container_) && outputs_[i].codes && outputs_[i].codes->has_scales;
      const bool unfit = count.scale_unfit > 0 && !wide_scales_do;
      if (count.off_lattice == 0 && !unfit) continue;
      if (++off <= kMostNamed) named += (named.empty() ? "" : ", ") + described(outputs_[i], count, unfit);
    }
    if (off == 0) return success();
    return refused(input_.path().string() + ": its weights lie on a lattice, and " + std::to_string(off) + " of " +
                   std::to_string(asked) + " tensors do not lie on the one that is asked for: " + named +
                   (off > kMostNamed ? ", ..." : "") + ways_out(input_, options_));
  }

  std::string described(const Output& output, const RecoveryCount& count, bool unfit) const {
    const double part = static_cast<double>(count.exact) / static_cast<double>(count.groups);
    std::string text = name_in(input_.container(), output.spec.name) + " (" + percent(part) +
                       " of the groups that were " + "looked at are on " +
                       std::string(dtype_name(output.codes->asked.lattice));
    if (unfit) {
      text += ", " + percent(static_cast<double>(count.scale_unfit) / static_cast<double>(count.groups)) +
              " have scales that binary16 cannot hold";
    }
    std::string place;
    for_each_tensor(output, [&](const NamedTensor& tensor) {
      if (!place.empty() || !is_float(tensor.view)) return;
      place = first_off(tensor.view, lattice_to_find(output, container_, tensor.view));
    });
    return text + (place.empty() ? ")" : "; the first that is not is " + place + ")");
  }

  Status refuse_scales_that_blocks_round() const {
    uint64_t rounded = 0, scales = 0;
    double largest = 0;
    for (const Output& output : outputs_) {
      const bool in_blocks = output.codes && output.codes->origin == CodeOrigin::kCodes && !output.codes->has_scales &&
                             block_elements(output.spec.dtype) > 1;
      if (!in_blocks) continue;
      for_each_tensor(output, [&](const NamedTensor& tensor) {
        const ScaleView& stored = tensor.view.scales;
        for (int64_t i = 0; i < tensor.view.rows() * stored.groups; ++i) {
          const float scale = stored.at(i / stored.groups, i % stored.groups);
          const auto half = scale_of_blocks(scale);
          ++scales;
          if (!half || float_from_f16(*half) == scale) continue;
          ++rounded;
          const double change = static_cast<double>(float_from_f16(*half)) / static_cast<double>(scale) - 1.0;
          largest = std::max(largest, std::fabs(change));
        }
        release_mapped_pages(stored.data);
      });
    }
    if (rounded == 0) return success();
    return refused(input_.path().string() + ": " + std::to_string(rounded) + " of " + std::to_string(scales) +
                   " scales are no binary16 numbers, which the blocks of GGUF have for scales; rounding them changes "
                   "them, and the weights with them, by up to " +
                   percent(largest) +
                   (options_.scheme == nullptr ? "; --static-scales keeps the scales beside the blocks, in a file that "
                                                 "llama.cpp refuses, and --requantize rounds them"
                                               : "; --requantize rounds them"));
  }

  const Checkpoint& input_;
  Container container_;
  const ConvertOptions& options_;
  std::vector<Output>& outputs_;
  std::vector<RecoveryCount> counts_;
  bool quantized_ = false;
};

}  // namespace

TensorLattice lattice_to_find(const Output& output, Container container, const TensorView& view) {
  const CodePlan& plan = *output.codes;
  const DType value_type = is_float(view) ? view.dtype : DType::kF32;
  const DType scale_type = plan.has_scales ? output.spec.scale_dtype : DType::kF16;
  auto lattice = tensor_lattice(plan.asked, view.columns(), value_type, scale_type);
  CARAT_CHECK(lattice.has_value(), "whole groups, which the plan has made sure of");
  // Elsewhere codes have positive scales, those in blocks of GGUF too.
  if (is_code_type(plan.asked.lattice) && !has_either_scales(container)) lattice->rule.negative_scales = false;
  return *lattice;
}

std::string ways_out(const Checkpoint& input, const ConvertOptions& options) {
  const std::string scheme = options.scheme != nullptr ? options.scheme->name : input.config().scheme;
  return "; `carat verify " + input.path().string() + " --scheme " + scheme +
         "` lists where; a scheme of your own can " + "keep such tensors in BF16, and --requantize rounds them";
}

Result<bool> survey(const Checkpoint& input, Container container, const ConvertOptions& options,
                    std::vector<Output>& outputs) {
  return Surveyor(input, container, options, outputs).survey();
}

}  // namespace carat
