#include "formats/whole_tensor.h"

#include <algorithm>
#include <string_view>

#include "base/mapped_pages.h"
#include "formats/litertlm_tensors.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr std::string_view kGateAndUp = "experts.gate_up_proj";

size_t bytes_of(DType dtype, int64_t elements) {
  return static_cast<size_t>(*row_bytes(dtype, static_cast<uint64_t>(elements)));
}

std::string type_of_view(const TensorView& view) {
  std::string text(dtype_name(view.dtype));
  if (view.scales.groups == 0) return text;
  if (view.scales.groups == 1) return text + " row";
  return text + " group " + std::to_string(view.columns() / view.scales.groups);
}

bool rounds_to(float exact, float scale_of_block) {
  const auto stored = scale_of_blocks(exact);
  return stored && float_from_f16(*stored) == scale_of_block;
}

/// Writes code * scale for blocks that share a scale; false when they do not, or `scale` does not round to it.
bool decode_with_scale(DType block_type, Bytes blocks, float scale, std::span<float> out) {
  const DType code_type = *code_type_of(block_type);
  constexpr size_t kAtOnce = 256;
  std::byte packed[kAtOnce];
  int8_t codes[kAtOnce];
  const size_t block_size = bytes_of(block_type, kAtOnce);
  for (size_t first = 0; first < out.size(); first += kAtOnce) {
    const size_t count = std::min(kAtOnce, out.size() - first);
    const std::span<std::byte> some(packed, bytes_of(code_type, static_cast<int64_t>(count)));
    const Bytes stored =
        blocks.subspan(first / kAtOnce * block_size, bytes_of(block_type, static_cast<int64_t>(count)));
    const auto shared = codes_from_blocks(block_type, stored, code_type, some);
    if (!shared) return false;
    unpack_codes(code_type, some, {codes, count});
    const bool all_zero = std::all_of(codes, codes + count, [](int8_t code) { return code == 0; });
    if (!all_zero && !rounds_to(scale, *shared)) return false;
    for (size_t i = 0; i < count; ++i) out[first + i] = static_cast<float>(codes[i]) * scale;
  }
  return true;
}

}  // namespace

WholeTensor::WholeTensor(const TensorSpec& spec)
    : name_(spec.name),
      shape_(spec.shape),
      rows_(*element_count(spec.shape) / spec.shape.back()),
      columns_(spec.shape.back()) {}

std::optional<WholeTensor> WholeTensor::find(const Checkpoint& checkpoint, const TensorSpec& spec) {
  WholeTensor whole(spec);
  whole.source_ = checkpoint.path().string() + ": " + name_in(checkpoint.container(), spec.name);
  if (whole.add_part(checkpoint, spec.name)) return whole;
  if (spec.name.ends_with(kGateAndUp)) {
    const std::string prefix = spec.name.substr(0, spec.name.size() - kGateAndUp.size());
    whole.arrangement_ = Arrangement::kHalvesOfExperts;
    if (whole.add_part(checkpoint, prefix + "experts.gate_proj") &&
        whole.add_part(checkpoint, prefix + "experts.up_proj")) {
      return whole;
    }
  } else if (spec.name == kPerLayerTableName) {
    whole.arrangement_ = Arrangement::kSideBySide;
    for (int64_t layer = 0; layer < checkpoint.config().layer_count(); ++layer) {
      if (!whole.add_part(checkpoint, per_layer_part(layer))) return std::nullopt;
    }
    return whole;
  } else if (spec.name.ends_with(".layer_scalar")) {
    whole.arrangement_ = Arrangement::kOnes;
    return whole;
  }
  return std::nullopt;
}

bool WholeTensor::add_part(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView* view = checkpoint.find(name);
  if (view == nullptr) return false;
  parts_.push_back({view, checkpoint.find(name + "_scale")});
  return true;
}

std::vector<const TensorView*> WholeTensor::views() const {
  std::vector<const TensorView*> views;
  for (const Part& part : parts_) views.push_back(part.view);
  return views;
}

std::string WholeTensor::type_text() const {
  if (arrangement_ == Arrangement::kOnes) return "absent, 1";
  std::string text;
  for (const Part& part : parts_) {
    std::string type = type_of_view(*part.view);
    if (part.exact_scales != nullptr) type += " with exact scales";
    if (text.empty()) {
      text = std::move(type);
    } else if (text != type) {
      return text + " and " + type;
    }
  }
  return text;
}

WholeTensor::Place WholeTensor::place_of(int64_t row) const {
  if (arrangement_ != Arrangement::kHalvesOfExperts) return {0, row};
  const int64_t half = shape_[1] / 2;
  const int64_t expert = row / (2 * half);
  const int64_t within = row % (2 * half);
  return {within < half ? size_t{0} : size_t{1}, expert * half + within % half};
}

/// How many rows of a part lie in front of `row`.
int64_t WholeTensor::rows_before(size_t part, int64_t row) const {
  if (arrangement_ != Arrangement::kHalvesOfExperts) return row;
  const int64_t half = shape_[1] / 2;
  const int64_t within = row % (2 * half);
  const int64_t of_this_expert = part == 0 ? std::min(within, half) : std::max<int64_t>(0, within - half);
  return row / (2 * half) * half + of_this_expert;
}

DType WholeTensor::type_of_row(int64_t row) const {
  return parts_.empty() ? DType::kF32 : parts_[place_of(row).part].view->dtype;
}

bool WholeTensor::holds_codes(int bits, int64_t group) const {
  return !parts_.empty() && std::ranges::all_of(parts_, [&](const Part& part) {
    const TensorView& view = *part.view;
    return is_code_type(view.dtype) && code_bits(view.dtype) == bits && view.columns() == group * view.scales.groups;
  });
}

bool WholeTensor::has_exact_scales() const {
  return std::ranges::any_of(parts_, [](const Part& part) { return part.exact_scales != nullptr; });
}

Status WholeTensor::decode_part(const Part& part, int64_t row, std::span<float> out) const {
  if (part.exact_scales == nullptr) {
    decode_row(*part.view, row, out);
    return success();
  }
  const int64_t groups = part.exact_scales->columns();
  const int64_t length = part.view->columns() / groups;
  const Bytes blocks = part.view->row(row);
  const size_t size = bytes_of(part.view->dtype, length);
  for (int64_t group = 0; group < groups; ++group) {
    const float scale = ScaleView{DType::kF32, groups, part.exact_scales->data}.at(row, group);
    const auto first = static_cast<size_t>(group);
    const std::span<float> values = out.subspan(first * static_cast<size_t>(length), static_cast<size_t>(length));
    if (decode_with_scale(part.view->dtype, blocks.subspan(first * size, size), scale, values)) continue;
    return refused(source_ + ": row " + std::to_string(row) + ": the scale beside its blocks, " + number_text(scale) +
                   ", does not round to theirs; another program has changed one of them, convert the model again");
  }
  return success();
}

Status WholeTensor::decode(int64_t row, std::span<float> out) const {
  if (arrangement_ == Arrangement::kOnes) {
    std::ranges::fill(out, 1.0f);
    return success();
  }
  if (arrangement_ != Arrangement::kSideBySide) {
    const Place place = place_of(row);
    return decode_part(parts_[place.part], place.row, out);
  }
  size_t done = 0;
  for (const Part& part : parts_) {
    const auto width = static_cast<size_t>(part.view->columns());
    CARAT_TRY_STATUS(decode_part(part, row, out.subspan(done, width)));
    done += width;
  }
  return success();
}

void WholeTensor::release(int64_t first, int64_t count) const {
  for (size_t i = 0; i < parts_.size(); ++i) {
    const TensorView& view = *parts_[i].view;
    const auto begin = static_cast<size_t>(rows_before(i, first));
    const auto end = static_cast<size_t>(rows_before(i, first + count));
    const auto release_rows = [&](Bytes data, size_t row_size) {
      release_mapped_pages(data.subspan(begin * row_size, (end - begin) * row_size));
    };
    release_rows(view.data, bytes_of(view.dtype, view.columns()));
    release_rows(view.scales.data, bytes_of(view.scales.dtype, view.scales.groups));
    if (const TensorView* exact = parts_[i].exact_scales) {
      release_rows(exact->data, bytes_of(exact->dtype, exact->columns()));
    }
  }
}

}  // namespace carat
