#include "session/model_sizes.h"

#include <string>
#include <vector>

#include "formats/names.h"
#include "formats/scheme_tensors.h"

namespace carat {
namespace {

// One table or one for each layer.
constexpr std::string_view kPerLayerTable = "model.embed_tokens_per_layer.";

uint64_t bytes_of(const TensorSpec& spec) {
  const uint64_t bytes = *tensor_bytes(spec.dtype, spec.shape);
  if (spec.scale_groups == 0) return bytes;
  const TensorSpec scales = scales_of(spec);
  return bytes + *tensor_bytes(scales.dtype, scales.shape);
}

TensorSpec spec_of(const NamedTensor& tensor) {
  const TensorView& view = tensor.view;
  return {tensor.name, view.dtype, view.shape, view.scales.groups, view.scales.dtype};
}

/// Adds a tensor that a model of `sizes.config` has.
void add(const TensorSpec& spec, ModelSizes& sizes) {
  const uint64_t bytes = bytes_of(spec);
  sizes.weights += bytes;
  if (spec.name.starts_with(kPerLayerTable)) {
    TensorSpec& table = sizes.per_layer_table;
    if (table.shape.empty()) {
      table = spec;
    } else {
      table.shape.back() += spec.shape.back();
      table.scale_groups += spec.scale_groups;
    }
    sizes.read_for_token += bytes / static_cast<uint64_t>(spec.shape.front());
  } else if (spec.name.find(".experts.") != std::string::npos) {
    sizes.read_for_token +=
        bytes / static_cast<uint64_t>(sizes.config.experts) * static_cast<uint64_t>(sizes.config.experts_used);
  } else {
    sizes.read_for_token += bytes;
  }
}

}  // namespace

uint64_t ModelSizes::per_layer_table_bytes() const {
  return per_layer_table.shape.empty() ? 0 : bytes_of(per_layer_table);
}

ModelSizes sizes_of(const Checkpoint& checkpoint) {
  ModelSizes sizes;
  sizes.config = checkpoint.config();
  sizes.left_on_disk = checkpoint.bytes_left_out();
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (is_exact_scale(tensor.name)) {
      sizes.left_on_disk += tensor.view.data.size();
    } else {
      add(spec_of(tensor), sizes);
    }
  }
  sizes.scales = cache_scales_of(checkpoint);
  return sizes;
}

Result<ModelSizes> sizes_of(const ModelConfig& config, const Scheme& scheme) {
  const Container container = has_codes(scheme) ? Container::kSafetensors : Container::kGguf;
  CARAT_TRY(const std::vector<TensorSpec> tensors, tensors_of_scheme(config, scheme, container));
  ModelSizes sizes;
  sizes.config = config;
  for (const TensorSpec& spec : tensors) {
    if (!tensor_bytes(spec.dtype, spec.shape)) {
      return refused(spec.name + ": rows of " + std::to_string(spec.shape.back()) + " values cannot be stored as " +
                     std::string(dtype_name(spec.dtype)) + ", which needs a multiple of " +
                     std::to_string(block_elements(spec.dtype)) + "; use another scheme");
    }
    add(spec, sizes);
  }
  if (scheme.static_cache) sizes.scales.assign(config.layers.size(), {1.0f, 1.0f});
  return sizes;
}

}  // namespace carat
