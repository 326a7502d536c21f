#include "formats/mlx_names.h"

#include "formats/names.h"

namespace carat {
namespace {

constexpr std::string_view kComposite = "language_model.";
constexpr std::string_view kExperts = ".experts.";
constexpr std::string_view kSwitch = "switch_glu.";
constexpr std::string_view kWeight = ".weight";

/// Where the part of `name` behind `.experts.` begins; npos when it has none.
size_t behind_experts(std::string_view name) {
  const size_t found = name.rfind(kExperts);
  return found == name.npos ? name.npos : found + kExperts.size();
}

}  // namespace

std::string module_of_mlx(std::string_view name) {
  if (name.starts_with(kComposite)) name.remove_prefix(kComposite.size());
  std::string module = text_only_name(name);
  const size_t part = behind_experts(module);
  if (part != module.npos && module.compare(part, kSwitch.size(), kSwitch) == 0) module.erase(part, kSwitch.size());
  return module;
}

std::string mlx_module(std::string_view name) {
  std::string module(name);
  if (const size_t part = behind_experts(name); part != name.npos) module.insert(part, kSwitch);
  return module;
}

std::string_view module_of_weight(std::string_view tensor) {
  if (tensor.ends_with(kWeight)) tensor.remove_suffix(kWeight.size());
  return tensor;
}

std::string weight_of_module(std::string_view module) {
  const bool of_experts = behind_experts(module) != module.npos;
  return std::string(module) + std::string(of_experts ? std::string_view() : kWeight);
}

}  // namespace carat
