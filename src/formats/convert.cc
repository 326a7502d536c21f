#include "formats/convert.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/convert_codes.h"
#include "formats/convert_columns.h"
#include "formats/convert_piece.h"
#include "formats/convert_plan.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

bool stores_every_matrix(const Scheme& scheme, const Checkpoint& checkpoint) {
  return std::ranges::all_of(checkpoint.tensors(), [&](const NamedTensor& tensor) {
    if (tensor.view.shape.size() < 2 || is_router(tensor.name) || is_exact_scale(tensor.name)) return true;
    return scheme.lattice_of(tensor.name) == tensor.view.dtype;
  });
}

bool is_weight(const Output& output) { return !output.number && !is_exact_scale(output.spec.name); }

bool finds_scales(const Output& output) { return output.codes && output.codes->origin == CodeOrigin::kValues; }

uint64_t weights_to_count(const std::vector<Output>& outputs) {
  uint64_t total = 0;
  for (const Output& output : outputs) {
    if (!is_weight(output)) continue;
    total += static_cast<uint64_t>(*element_count(output.spec.shape)) * (finds_scales(output) ? 2 : 1);
  }
  return total;
}

/// Makes the tensors of a new checkpoint, in any order and any number of times; what the first time does counts.
class Converter {
 public:
  /// `recorded` is the scheme that no value may leave, null when there is none.
  Converter(const Checkpoint& input, const std::vector<Output>& outputs, const Scheme* recorded, int threads,
            const ConvertProgress& progress)
      : input_(input),
        recorded_(recorded),
        loop_(weights_to_count(outputs), progress),
        codes_(input, threads),
        joiner_(loop_) {}

  const ConvertTally& tally() const { return tally_; }

  Status produce(const Output& output, const ByteSink& sink) {
    if (output.number) return sink(std::as_bytes(std::span(&*output.number, 1)));
    if (!output.columns.empty()) return joiner_.codes(output, produced_.insert(&output).second, sink);
    std::span<const float> scales;
    if (output.codes) {
      CARAT_TRY(scales, scales_of_codes(output));
    }
    const bool first_time = produced_.insert(&output).second;
    ConvertTally unused;
    ConvertTally& tally = first_time ? tally_ : unused;
    return loop_.for_each(output, first_time && is_weight(output), [&](const Piece& piece) -> Status {
      if (!output.codes) return produce_values(output, piece, tally, sink);
      CARAT_TRY(const Bytes made, codes_.make(output, scales, piece, tally));
      return sink(made);
    });
  }

  Status produce_scales(const Output& output, const ByteSink& sink) {
    if (!output.columns.empty()) return joiner_.scales(output, sink);
    CARAT_TRY(const std::span<const float> scales, scales_of_codes(output));
    stored_.resize(*row_bytes(output.spec.scale_dtype, scales.size()));
    encode(output.spec.scale_dtype, scales, stored_);
    return sink(stored_);
  }

 private:
  /// Writes the values of `piece` in the type of `output`.
  Status produce_values(const Output& output, const Piece& piece, ConvertTally& tally, const ByteSink& sink) {
    const DType stored_type = piece.view().dtype;
    CARAT_TRY_STATUS(decode_piece(input_, piece, values_));
    // A value that is stored on the lattice stays, also where our own rule would have chosen another scale.
    const bool stays = output.lattice == stored_type;
    if (!stays) CARAT_TRY_STATUS(move_to(output.lattice, piece, tally));
    if (stays && output.spec.dtype == stored_type) return sink(piece.bytes());
    stored_.resize(*row_bytes(output.spec.dtype, values_.size()));
    encode(output.spec.dtype, values_, stored_);
    return sink(stored_);
  }

  Status move_to(DType lattice, const Piece& piece, ConvertTally& tally) {
    if (lattice == DType::kF32) return success();  // it holds every value
    snapped_.resize(values_.size());
    snap(lattice, values_, snapped_);
    for (size_t i = 0; i < values_.size(); ++i) {
      if (same_bits(values_[i], snapped_[i])) continue;
      ++tally.moved_weights;
      if (recorded_ != nullptr) return off_lattice(lattice, piece, i);
    }
    values_.swap(snapped_);
    return success();
  }

  Error off_lattice(DType lattice, const Piece& piece, size_t index) const {
    return refused(place_of_value(input_, piece, index) + " is " + number_text(values_[index]) +
                   ", which is no value of " + std::string(dtype_name(lattice)) +
                   " though the checkpoint says that its weights lie on " + in_quotes(recorded_->name) +
                   "; name a scheme to round the weights to it");
  }

  Result<std::span<const float>> scales_of_codes(const Output& output) {
    const auto known = scales_.find(&output);
    if (known != scales_.end()) return std::span<const float>(known->second);
    std::vector<float> scales;
    scales.reserve(static_cast<size_t>(*element_count(scale_tensor_of(output).shape)));
    CARAT_TRY_STATUS(loop_.for_each(output, finds_scales(output),
                                    [&](const Piece& piece) { return codes_.find_scales(output, piece, scales); }));
    return std::span<const float>(scales_[&output] = std::move(scales));
  }

  const Checkpoint& input_;
  const Scheme* recorded_;
  PieceLoop loop_;
  CodeMaker codes_;
  ColumnJoiner joiner_;
  ConvertTally tally_;
  std::unordered_set<const Output*> produced_;
  std::unordered_map<const Output*, std::vector<float>> scales_;  // of codes, asked for more than once
  // Of one piece; kept so that only the first one allocates.
  std::vector<float> values_;
  std::vector<float> snapped_;
  std::vector<std::byte> stored_;
};

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

/// In a GGUF file scales of codes are tensors of their own, or left out.
Contents list_contents(const std::vector<Output>& outputs, Container container, bool static_scales) {
  Contents contents;
  std::vector<TensorSpec> beside;
  for (const Output& output : outputs) {
    contents.tensors.push_back(output.spec);
    contents.requests[output.spec.name] = {&output, false};
    if (!output.codes) continue;
    const TensorSpec scales = scale_tensor_of(output);
    contents.requests[scales.name] = {&output, true};
    if (container == Container::kGguf && static_scales) beside.push_back(scales);
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

}  // namespace

std::string scheme_of(const Checkpoint& checkpoint) {
  if (!checkpoint.config().scheme.empty()) return checkpoint.config().scheme;
  for (const std::string_view name : {"q4_0", "q8_0", "bf16", "f16", "f32"}) {
    if (stores_every_matrix(*built_in_scheme(name), checkpoint)) return std::string(name);
  }
  return {};
}

Result<Conversion> convert_checkpoint(const Checkpoint& input, const std::filesystem::path& target,
                                      const ConvertOptions& options, const ConvertProgress& progress) {
  Conversion conversion;
  conversion.scheme = options.scheme != nullptr ? options.scheme->name : scheme_of(input);
  conversion.container = options.container.value_or(container_of_path(target));
  const Scheme* recorded = options.scheme != nullptr ? nullptr : built_in_scheme(input.config().scheme);
  CARAT_TRY(const std::vector<Output> outputs,
            plan_outputs(input, conversion.container, options, options.scheme != nullptr ? options.scheme : recorded));
  const Contents contents = list_contents(outputs, conversion.container, options.static_scales);
  conversion.tensors = static_cast<int64_t>(std::ranges::count_if(outputs, is_weight));
  count_static_scales(input, options, outputs, conversion);

  Converter converter(input, outputs, recorded, options.threads, progress);
  ModelConfig config = input.config();
  config.scheme = conversion.scheme;
  CARAT_TRY(conversion.bytes, write_checkpoint(target, conversion.container, config, input.vocabulary(),
                                               contents.tensors, [&](const TensorSpec& spec, const ByteSink& sink) {
                                                 const Request& request = contents.requests.at(spec.name);
                                                 return request.scales ? converter.produce_scales(*request.output, sink)
                                                                       : converter.produce(*request.output, sink);
                                               }));
  conversion.moved_weights = converter.tally().moved_weights;
  conversion.rounded_scales = converter.tally().rounded_scales;
  conversion.largest_scale_change = converter.tally().largest_scale_change;
  return conversion;
}

}  // namespace carat
