#include "formats/convert.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mapped_pages.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

// A multiple of every block length, so that a piece of a tensor is a whole number of blocks.
constexpr uint64_t kPieceElements = uint64_t{1} << 20;

uint64_t count_elements(const TensorView& view) {
  return static_cast<uint64_t>(view.rows()) * static_cast<uint64_t>(view.columns());
}

/// Values that lie one after the other in a tensor of the input.
struct Run {
  const NamedTensor* tensor;
  uint64_t begin;
  uint64_t count;
};

/// A tensor of the output, with the values of the input that make it up, in order.
struct Output {
  TensorSpec spec;
  std::vector<Run> runs;
};

/// The gates and the ups of all experts as one tensor [E, 2 Fe, D], expert after expert.
Output merged_experts(const NamedTensor& gate, const NamedTensor& up, std::string name) {
  const Shape& half = gate.view.shape;
  const DType dtype = gate.view.dtype == up.view.dtype ? gate.view.dtype : DType::kF32;
  Output merged{{std::move(name), dtype, {half[0], 2 * half[1], half[2]}}, {}};
  const auto count = static_cast<uint64_t>(half[1]) * static_cast<uint64_t>(half[2]);
  for (uint64_t expert = 0; expert < static_cast<uint64_t>(half[0]); ++expert) {
    for (const NamedTensor* part : {&gate, &up}) merged.runs.push_back({part, expert * count, count});
  }
  return merged;
}

/// The tensors of `input` in the form that `container` has for them, with the types in which they are stored now. Only
/// GGUF knows the gates and ups of experts as tensors of their own.
std::vector<Output> arrange(const Checkpoint& input, Container container) {
  constexpr std::string_view kGate = ".experts.gate_proj";
  std::vector<Output> outputs;
  const std::vector<NamedTensor>& tensors = input.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor& tensor = tensors[i];
    if (container == Container::kSafetensors && tensor.name.ends_with(kGate)) {
      const std::string layer = tensor.name.substr(0, tensor.name.size() - kGate.size());
      outputs.push_back(merged_experts(tensor, tensors[++i], layer + ".experts.gate_up_proj"));
    } else {
      outputs.push_back(
          {{tensor.name, tensor.view.dtype, tensor.view.shape}, {{&tensor, 0, count_elements(tensor.view)}}});
    }
  }
  return outputs;
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

std::string value_text(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return std::string(text.data(), end.ptr);
}

bool stores_every_matrix(const Scheme& scheme, const Checkpoint& checkpoint) {
  return std::ranges::all_of(checkpoint.tensors(), [&](const NamedTensor& tensor) {
    if (tensor.view.shape.size() < 2 || is_router(tensor.name)) return true;
    return scheme.lattice_of(tensor.name) == tensor.view.dtype;
  });
}

/// Moves the tensors of one checkpoint to their lattices, piece by piece.
class Converter {
 public:
  /// The lattices are those of `scheme`, or of the stored types when it is null. With `exact` nothing may move.
  Converter(const Checkpoint& input, const Scheme* scheme, bool exact, const ConvertProgress& progress)
      : input_(input), scheme_(scheme), exact_(exact), progress_(progress) {
    for (const NamedTensor& tensor : input.tensors()) total_ += count_elements(tensor.view);
  }

  DType lattice(const std::string& name, DType stored) const { return scheme_ ? scheme_->lattice_of(name) : stored; }

  uint64_t moved() const { return moved_; }

  Status produce(const Output& output, const ByteSink& sink) {
    for (const Run& run : output.runs) {
      for (uint64_t done = 0; done < run.count; done += kPieceElements) {
        const uint64_t count = std::min(kPieceElements, run.count - done);
        CARAT_TRY_STATUS(produce_piece(output.spec, {run.tensor, run.begin + done, count}, sink));
      }
    }
    return success();
  }

 private:
  Status produce_piece(const TensorSpec& spec, const Run& piece, const ByteSink& sink) {
    const TensorView& view = piece.tensor->view;
    const Bytes source = view.data.subspan(*row_bytes(view.dtype, piece.begin), *row_bytes(view.dtype, piece.count));
    CARAT_TRY_STATUS(convert_piece(spec, piece, source));
    CARAT_TRY_STATUS(sink(stored_));
    release_mapped_pages(source);
    done_ += piece.count;
    if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "the conversion was interrupted"};
    return success();
  }

  /// Leaves the target's bytes of `piece`, which has the bytes `source` in the input, in `stored_`.
  Status convert_piece(const TensorSpec& spec, const Run& piece, Bytes source) {
    const DType source_type = piece.tensor->view.dtype;
    values_.resize(piece.count);
    decode(source_type, source, values_);
    CARAT_TRY_STATUS(check_finite(piece));
    const DType wanted = lattice(spec.name, source_type);
    // A value that is stored on the lattice stays, also where our own rule would have chosen another scale.
    if (wanted != source_type) CARAT_TRY_STATUS(move_to(wanted, piece));
    if (wanted == source_type && spec.dtype == source_type) {
      stored_.assign(source.begin(), source.end());
      return success();
    }
    stored_.resize(*row_bytes(spec.dtype, piece.count));
    encode(spec.dtype, values_, stored_);
    return success();
  }

  Status move_to(DType lattice, const Run& piece) {
    if (lattice == DType::kF32) return success();  // it holds every value
    snapped_.resize(values_.size());
    snap(lattice, values_, snapped_);
    for (size_t i = 0; i < values_.size(); ++i) {
      if (same_bits(values_[i], snapped_[i])) continue;
      ++moved_;
      if (exact_) return off_lattice(lattice, piece, i);
    }
    values_.swap(snapped_);
    return success();
  }

  Status check_finite(const Run& piece) const {
    const auto found = std::ranges::find_if_not(values_, [](float value) { return std::isfinite(value); });
    if (found == values_.end()) return success();
    return refused(place(piece, static_cast<uint64_t>(found - values_.begin())) + " is " + value_text(*found) +
                   ", expected a finite number; the file is damaged");
  }

  Error off_lattice(DType lattice, const Run& piece, uint64_t index) const {
    return refused(place(piece, index) + " is " + value_text(values_[index]) + ", which is no value of " +
                   std::string(dtype_name(lattice)) + " though the checkpoint says that its weights lie on " +
                   in_quotes(scheme_->name) + "; name a scheme to round the weights to it");
  }

  std::string place(const Run& piece, uint64_t index) const {
    const auto columns = static_cast<uint64_t>(piece.tensor->view.columns());
    const uint64_t element = piece.begin + index;
    return input_.path().string() + ": " + name_in(input_.container(), piece.tensor->name) + ": the value in row " +
           std::to_string(element / columns) + ", column " + std::to_string(element % columns);
  }

  const Checkpoint& input_;
  const Scheme* scheme_;
  bool exact_;
  const ConvertProgress& progress_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  uint64_t moved_ = 0;
  // Of one piece; kept so that only the first one allocates.
  std::vector<float> values_;
  std::vector<float> snapped_;
  std::vector<std::byte> stored_;
};

}  // namespace

std::string scheme_of(const Checkpoint& checkpoint) {
  if (!checkpoint.config().scheme.empty()) return checkpoint.config().scheme;
  for (const std::string_view name : {"q4_0", "q8_0", "bf16", "f16", "f32"}) {
    if (stores_every_matrix(*built_in_scheme(name), checkpoint)) return std::string(name);
  }
  return {};
}

Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const Scheme* scheme, const ConvertProgress& progress) {
  Conversion conversion;
  conversion.scheme = scheme != nullptr ? scheme->name : scheme_of(input);
  const Scheme* lattices = scheme != nullptr ? scheme : built_in_scheme(input.config().scheme);
  Converter converter(input, lattices, scheme == nullptr, progress);

  const Container container = container_of_path(target);
  std::vector<Output> outputs = arrange(input, container);
  std::vector<TensorSpec> tensors;
  std::unordered_map<std::string_view, const Output*> by_name;
  for (Output& output : outputs) {
    TensorSpec& spec = output.spec;
    spec.dtype = storable(container, converter.lattice(spec.name, spec.dtype), spec.name, spec.shape);
    tensors.push_back(spec);
    by_name[spec.name] = &output;
  }
  conversion.tensors = static_cast<int64_t>(tensors.size());

  ModelConfig config = input.config();
  config.scheme = conversion.scheme;
  CARAT_TRY(conversion.bytes, write_checkpoint(target, config, input.vocabulary(), tensors,
                                               [&](const TensorSpec& spec, const ByteSink& sink) {
                                                 return converter.produce(*by_name.at(spec.name), sink);
                                               }));
  conversion.moved_weights = converter.moved();
  return conversion;
}

}  // namespace carat
