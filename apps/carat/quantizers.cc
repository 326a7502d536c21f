#include "quantizers.h"

#include <array>
#include <cstdio>
#include <optional>

#include "base/mapped_pages.h"
#include "formats/check_values.h"
#include "formats/names.h"
#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr std::string_view kWeight = ".weight";

// A tensor of as many codes has its lowest one somewhere, if its scales are those of any known rule.
constexpr int64_t kManyCodes = int64_t{1} << 16;

std::optional<float> number(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView* found = checkpoint.find(name);
  if (found == nullptr) return std::nullopt;
  return decode_tensor(*found).front();
}

std::optional<float> scale_of_module(const Checkpoint& checkpoint, const std::string& weight, std::string_view which) {
  if (!weight.ends_with(kWeight)) return std::nullopt;
  return number(checkpoint, weight.substr(0, weight.size() - kWeight.size()) + std::string(which));
}

std::string scales_text(const TensorView& view) {
  const std::string type(dtype_name(view.scales.dtype));
  if (view.scales.groups == 1) return "  one " + type + " scale a row";
  return "  one " + type + " scale for each " + std::to_string(view.columns() / view.scales.groups) + " columns";
}

bool has_weight(const Checkpoint& checkpoint, const std::string& scale) {
  return checkpoint.find(scale.substr(0, scale.rfind('.')) + std::string(kWeight)) != nullptr;
}

}  // namespace

std::string scale_text(float scale) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", static_cast<double>(scale));
  return text.data();
}

bool is_weight(const NamedTensor& tensor) { return !is_static_scale(tensor.name) && !is_exact_scale(tensor.name); }

std::string static_scale_summary(const Checkpoint& checkpoint) {
  int64_t inputs = 0, outputs = 0, cache = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (!is_static_scale(tensor.name)) continue;
    ++(tensor.name.ends_with(kInputScale) ? inputs : tensor.name.ends_with(kOutputScale) ? outputs : cache);
  }
  if (inputs + outputs + cache == 0) return {};
  return std::to_string(inputs) + " for inputs, " + std::to_string(outputs) + " for outputs, " + std::to_string(cache) +
         " for keys and values";
}

std::string beside_weight(const Checkpoint& checkpoint, const NamedTensor& weight) {
  std::string text;
  if (weight.view.scales.groups > 0) text += scales_text(weight.view);
  if (checkpoint.find(weight.name + "_scale") != nullptr) text += "  exact scales beside it";
  const auto input = scale_of_module(checkpoint, weight.name, kInputScale);
  const auto output = scale_of_module(checkpoint, weight.name, kOutputScale);
  if (input) text += "  in " + scale_text(*input);
  if (output) text += std::string(input ? ", " : "  ") + "out " + scale_text(*output);
  return text;
}

void add_beside_weight(const Checkpoint& checkpoint, const NamedTensor& weight, nlohmann::ordered_json& json) {
  if (weight.view.scales.groups > 0) {
    json["scale_groups"] = weight.view.scales.groups;
    json["scale_type"] = dtype_name(weight.view.scales.dtype);
    json["scale_bytes"] = weight.view.scales.data.size();
  }
  if (const TensorView* exact = checkpoint.find(weight.name + "_scale")) json["exact_scales"] = exact->columns();
  if (const auto input = scale_of_module(checkpoint, weight.name, kInputScale)) json["input_scale"] = *input;
  if (const auto output = scale_of_module(checkpoint, weight.name, kOutputScale)) json["output_scale"] = *output;
}

std::map<std::string, float> other_static_scales(const Checkpoint& checkpoint) {
  std::map<std::string, float> scales;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    const bool of_weight = !tensor.name.ends_with("_cache_scale") && has_weight(checkpoint, tensor.name);
    if (is_static_scale(tensor.name) && !of_weight) scales[tensor.name] = decode_tensor(tensor.view).front();
  }
  return scales;
}

Result<std::vector<std::string>> check_tensors(const Checkpoint& checkpoint) {
  std::vector<std::string> without_lowest;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    CARAT_TRY_STATUS(check_values(tensor, checkpoint.path().string()));
    const bool many = tensor.view.rows() * tensor.view.columns() >= kManyCodes;
    if (is_code_type(tensor.view.dtype) && many && !has_lowest_code(tensor.view)) without_lowest.push_back(tensor.name);
    release_mapped_pages(tensor.view.data);
  }
  return without_lowest;
}

}  // namespace carat
