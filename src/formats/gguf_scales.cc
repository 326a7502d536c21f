#include "formats/gguf_scales.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/recarry.h"

namespace carat {
namespace {

using TensorsByName = std::unordered_map<std::string_view, const TensorView*>;

std::string described(const TensorView& view) {
  return shape_text(view.shape) + " " + std::string(dtype_name(view.dtype));
}

Status check_version(const GgufFields& fields, const std::string& tensor) {
  if (!fields.has(kStaticScalesKey)) {
    return fields.refusal(tensor, "is a scale beside the weights, whose meaning " + std::string(kStaticScalesKey) +
                                      " would tell, which is missing; convert the model again");
  }
  CARAT_TRY(const std::string version, fields.text(kStaticScalesKey));
  if (version == kStaticScalesVersion) return success();
  return fields.refusal(kStaticScalesKey, "expected version " + in_quotes(kStaticScalesVersion) + ", found " +
                                              in_quotes(version) + "; it needs a newer version of this program");
}

/// Nothing for a scale of 0.
Result<std::optional<TensorView>> static_scale(const GgufFields& fields, const NamedTensor& tensor) {
  const TensorView& view = tensor.view;
  if (view.dtype != DType::kF32 || element_count(view.shape) != 1) {
    return fields.refusal(tensor.name, "expected a static scale, [1] F32, found " + described(view));
  }
  const float scale = ScaleView{view.dtype, 1, view.data}.at(0, 0);
  if (scale != 0.0f && !is_scale(scale)) {
    return fields.refusal(tensor.name,
                          "expected a positive number, or 0 for no quantizer, found " + number_text(scale));
  }
  if (scale == 0.0f) return std::optional<TensorView>();
  return std::optional(TensorView{view.dtype, {}, view.data});
}

Status check_row_scales(const GgufFields& fields, const NamedTensor& tensor, const TensorView* blocks) {
  if (blocks == nullptr) return fields.refusal(tensor.name, "is there without the weight whose scales it holds");
  const TensorView& view = tensor.view;
  const int64_t groups = view.columns();
  const bool fits = view.dtype == DType::kF32 && view.shape.size() == 2 && view.rows() == blocks->rows() &&
                    code_type_of(blocks->dtype).has_value() && blocks->columns() % groups == 0 &&
                    blocks->columns() / groups % block_elements(blocks->dtype) == 0;
  if (fits) return success();
  return fields.refusal(tensor.name, "expected F32 scales for whole blocks of each row of its weight, " +
                                         described(*blocks) + ", found " + described(view));
}

}  // namespace

Result<std::vector<NamedTensor>> scales_from_gguf(const GgufFields& fields, const std::vector<NamedTensor>& tensors) {
  TensorsByName by_name;
  for (const NamedTensor& tensor : tensors) by_name[tensor.name] = &tensor.view;
  std::vector<NamedTensor> scales;
  for (const NamedTensor& tensor : tensors) {
    const auto name = hf_name_from_gguf(tensor.name);
    if (!name || (!is_static_scale(*name) && !is_exact_scale(*name))) continue;
    CARAT_TRY_STATUS(check_version(fields, tensor.name));
    if (is_static_scale(*name)) {
      CARAT_TRY(const std::optional<TensorView> scale, static_scale(fields, tensor));
      if (scale) scales.push_back({*name, *scale});
      continue;
    }
    const auto weight = gguf_name_from_hf(name->substr(0, name->size() - std::string_view("_scale").size()));
    const auto found = by_name.find(*weight);
    CARAT_TRY_STATUS(check_row_scales(fields, tensor, found == by_name.end() ? nullptr : found->second));
    scales.push_back({*name, tensor.view});
  }
  return scales;
}

}  // namespace carat
