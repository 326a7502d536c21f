#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/scheme_tensors.h"
#include "tensor/float_formats.h"
#include "tests/support/tiny_model.h"

namespace carat {

/// The mobile format's classes of tensors on a tiny shape: 2-bit vocabulary, 4-bit per-layer table with a scale for
/// each layer, 4-bit and 2-bit linear layers, 8-bit per-layer gates, static quantizers around all of them and on the
/// cache.
inline Scheme coded_scheme(const TinyShape& shape) {
  return {.name = "coded",
          .rules = {{"*norm.weight", DType::kBF16},
                    {"*per_layer_model_projection.weight", DType::kBF16},
                    {"*embed_tokens.weight", DType::kI2},
                    {"*embed_tokens_per_layer.weight", DType::kI4, shape.per_layer_width},
                    {"*self_attn.*_proj.weight", DType::kI4, 0, true},
                    {"*mlp.down_proj.weight", DType::kI4, 0, true},
                    {"*mlp.*_proj.weight", DType::kI2, 0, true},
                    {"*per_layer_*.weight", DType::kI8, 0, true}},
          .static_cache = true};
}

/// The scheme of 4-bit groups of 32 without quantizers, W4A16.
inline Scheme grouped_scheme() {
  return {.name = "grouped",
          .rules = {{"*norm.weight", DType::kBF16},
                    {"*per_layer_model_projection.weight", DType::kBF16},
                    {"*embed_tokens*", DType::kBF16},
                    {"*_proj.weight", DType::kI4, 32},
                    {"*per_layer_*.weight", DType::kI4, 32}}};
}

/// Copies of the values of a checkpoint's tensors, as a producer gives them.
inline TensorProducer copies_of(const Checkpoint& checkpoint) {
  return [&checkpoint](const TensorSpec& spec, const ByteSink& sink) {
    if (const TensorView* found = checkpoint.find(spec.name)) return sink(found->data);
    constexpr std::string_view kScale = "_scale";
    return sink(checkpoint.find(spec.name.substr(0, spec.name.size() - kScale.size()))->scales.data);
  };
}

inline std::vector<TensorSpec> specs_of(const Checkpoint& checkpoint) {
  std::vector<TensorSpec> specs;
  for (const auto& [name, view] : checkpoint.tensors()) {
    specs.push_back({name, view.dtype, view.shape, view.scales.groups, view.scales.dtype});
  }
  return specs;
}

/// A model of random codes: every byte is fixed by the seed and the tensor's name.
struct CodedModel {
  CodedModel(const TinyShape& shape, const Scheme& scheme, uint32_t model_seed)
      : vocabulary(tiny_vocabulary()), config(tiny_config(shape, vocabulary.size())), seed(model_seed) {
    tensors = tensors_of_scheme(config, scheme, Container::kSafetensors).value();
  }

  /// Codes of all values; floats, and so scales, between 0.5 and 1.
  TensorProducer producer() const {
    return [this](const TensorSpec& spec, const ByteSink& sink) {
      std::mt19937 random(static_cast<uint32_t>(std::hash<std::string>{}(spec.name)) ^ (seed * 2654435761u));
      std::vector<std::byte> bytes(*tensor_bytes(spec.dtype, spec.shape));
      if (is_code_type(spec.dtype)) {
        for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
        return sink(bytes);
      }
      const auto width = static_cast<size_t>(block_bytes(spec.dtype));
      for (size_t i = 0; i < bytes.size(); i += width) {
        const float value = 0.5f + static_cast<float>(random() >> 9) * 0x1p-24f;
        const uint16_t rounded = bf16_from_float(value);
        std::memcpy(bytes.data() + i, width == 2 ? static_cast<const void*>(&rounded) : &value, width);
      }
      return sink(bytes);
    };
  }

  Result<uint64_t> write(const std::filesystem::path& target, Container container) const {
    return write_checkpoint(target, container, config, vocabulary, tensors, producer());
  }

  Vocabulary vocabulary;
  ModelConfig config;
  std::vector<TensorSpec> tensors;
  uint32_t seed;
};

}  // namespace carat
