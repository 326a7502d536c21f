#include "formats/convert_image.h"

#include <algorithm>
#include <optional>
#include <span>

#include "formats/quote.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"

namespace carat {
namespace {

/// The lattice that the values of a tensor lie on, by its type or by what is known of its floats, as `narrow` floats
/// have it. Nothing for values without a lattice that could be found again.
std::optional<TensorLattice> lattice_of_values(const Output& output, const TensorView& view, DType narrow) {
  SchemeRule rule = {"*", output.known_lattice.value_or(view.dtype)};
  DType scales = DType::kF16;
  if (is_code_type(view.dtype)) {
    rule = {"*", view.dtype, view.columns() / view.scales.groups};
    scales = DType::kF32;
  }
  auto lattice = tensor_lattice(rule, view.columns(), narrow, scales);
  if (lattice) lattice->rule.negative_scales = true;
  return lattice;
}

/// Whether codes and scale are the values.
bool gives(std::span<const int8_t> codes, float scale, std::span<const float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (static_cast<float>(codes[i]) * scale != values[i]) return false;
  }
  return true;
}

}  // namespace

Status FloatRounder::round(const Output& output, const Piece& piece, std::vector<float>& values, Moves& moves) {
  rounded_.resize(values.size());
  snap(output.lattice, values, rounded_);
  const auto lattice = is_image(output) ? lattice_of_values(output, piece.view(), output.lattice) : std::nullopt;
  const size_t length = lattice ? static_cast<size_t>(lattice->group) : static_cast<size_t>(piece.view().columns());
  if (lattice) recover_rows(*lattice, rounded_, threads_, found_);
  for (size_t begin = 0; begin < values.size(); begin += length) {
    const std::span<const float> before = std::span(values).subspan(begin, length);
    const size_t group = begin / length;
    const bool told = lattice && found_.groups[group].outcome != Recovery::kOffLattice &&
                      gives(std::span(found_.codes).subspan(begin, length), found_.groups[group].scale, before);
    if (told) {
      moves.add_still(before);
    } else {
      CARAT_TRY_STATUS(round_group(output, piece, values, begin, length, lattice.has_value(), moves));
    }
  }
  values.swap(rounded_);
  // Codes of negative scales make negative zeros, which nothing else has.
  if (lattice) std::ranges::for_each(values, [](float& value) { value += 0.0f; });
  return success();
}

Status FloatRounder::round_group(const Output& output, const Piece& piece, std::vector<float>& values, size_t begin,
                                 size_t length, bool has_lattice, Moves& moves) {
  const std::span<const float> before = std::span(values).subspan(begin, length);
  const std::span<const float> after = std::span(rounded_).subspan(begin, length);
  const auto changed = std::ranges::mismatch(before, after).in1;
  if (changed == before.end()) {
    moves.add_still(before);
    return success();
  }
  if (may_move_) {
    moves.add(before, after, DType::kF32);
    return success();
  }
  const std::string type(dtype_name(output.lattice));
  const std::string why = has_lattice
                              ? ": rounded to " + type + ", it and its neighbours would no longer tell which " +
                                    "points of their lattice they are"
                              : ", which is no value of " + type + ", and weights of the model lie on a lattice";
  return refused(place_of_value(input_, piece, begin + static_cast<size_t>(changed - before.begin())) + " is " +
                 number_text(*changed) + why + "; use --scheme f32, which holds every value, or round them with " +
                 "--requantize");
}

}  // namespace carat
