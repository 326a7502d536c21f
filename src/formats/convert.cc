#include "formats/convert.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <span>
#include <vector>

#include "base/mapped_pages.h"
#include "formats/quote.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

// A multiple of every block length, so that a piece of a tensor is a whole number of blocks.
constexpr uint64_t kPieceElements = uint64_t{1} << 20;

uint64_t count_elements(const TensorView& view) {
  return static_cast<uint64_t>(view.rows()) * static_cast<uint64_t>(view.columns());
}

bool same_bits(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

std::string value_text(float value) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return std::string(text.data(), end.ptr);
}

bool stores_every_matrix(const Scheme& scheme, const Checkpoint& checkpoint) {
  return std::ranges::all_of(checkpoint.tensors(), [&](const NamedTensor& tensor) {
    return tensor.view.shape.size() < 2 || scheme.lattice_of(tensor.name) == tensor.view.dtype;
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

  Status produce(const TensorSpec& spec, const ByteSink& sink) {
    const TensorView& view = *input_.find(spec.name);
    const uint64_t elements = count_elements(view);
    for (uint64_t begin = 0; begin < elements; begin += kPieceElements) {
      const uint64_t count = std::min(kPieceElements, elements - begin);
      const Bytes source = view.data.subspan(*row_bytes(view.dtype, begin), *row_bytes(view.dtype, count));
      CARAT_TRY_STATUS(convert_piece(spec, view.dtype, source, begin, count));
      CARAT_TRY_STATUS(sink(stored_));
      release_mapped_pages(source);
      done_ += count;
      if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "the conversion was interrupted"};
    }
    return success();
  }

 private:
  /// Leaves the target's bytes of the `count` elements from `begin` on in `stored_`; `source` has those of the input.
  Status convert_piece(const TensorSpec& spec, DType source_type, Bytes source, uint64_t begin, uint64_t count) {
    values_.resize(count);
    decode(source_type, source, values_);
    CARAT_TRY_STATUS(check_finite(spec.name, begin));
    const DType wanted = lattice(spec.name, source_type);
    // A value that is stored on the lattice stays, also where our own rule would have chosen another scale.
    if (wanted != source_type) CARAT_TRY_STATUS(move_to(wanted, spec.name, begin));
    if (wanted == source_type && spec.dtype == source_type) {
      stored_.assign(source.begin(), source.end());
      return success();
    }
    stored_.resize(*row_bytes(spec.dtype, count));
    encode(spec.dtype, values_, stored_);
    return success();
  }

  Status move_to(DType lattice, const std::string& name, uint64_t begin) {
    if (lattice == DType::kF32) return success();  // it holds every value
    snapped_.resize(values_.size());
    snap(lattice, values_, snapped_);
    for (size_t i = 0; i < values_.size(); ++i) {
      if (same_bits(values_[i], snapped_[i])) continue;
      ++moved_;
      if (exact_) return off_lattice(lattice, name, begin + i, values_[i]);
    }
    values_.swap(snapped_);
    return success();
  }

  Status check_finite(const std::string& name, uint64_t begin) const {
    const auto found = std::ranges::find_if_not(values_, [](float value) { return std::isfinite(value); });
    if (found == values_.end()) return success();
    return refused(place(name, begin + static_cast<uint64_t>(found - values_.begin())) + " is " + value_text(*found) +
                   ", expected a finite number; the file is damaged");
  }

  Error off_lattice(DType lattice, const std::string& name, uint64_t element, float value) const {
    return refused(place(name, element) + " is " + value_text(value) + ", which is no value of " +
                   std::string(dtype_name(lattice)) + " though the checkpoint says that its weights lie on " +
                   in_quotes(scheme_->name) + "; name a scheme to round the weights to it");
  }

  std::string place(const std::string& name, uint64_t element) const {
    const auto columns = static_cast<uint64_t>(input_.find(name)->columns());
    return input_.path().string() + ": " + name + ": the value in row " + std::to_string(element / columns) +
           ", column " + std::to_string(element % columns);
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
  for (const std::string_view name : {"q4_0", "bf16", "f32"}) {
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
  std::vector<TensorSpec> tensors;
  for (const auto& [name, view] : input.tensors()) {
    tensors.push_back({name, storable(container, converter.lattice(name, view.dtype), view.shape), view.shape});
  }
  conversion.tensors = static_cast<int64_t>(tensors.size());

  ModelConfig config = input.config();
  config.scheme = conversion.scheme;
  CARAT_TRY(conversion.bytes, write_checkpoint(target, config, input.vocabulary(), tensors,
                                               [&](const TensorSpec& spec, const ByteSink& sink) {
                                                 return converter.produce(spec, sink);
                                               }));
  conversion.moved_weights = converter.moved();
  return conversion;
}

}  // namespace carat
