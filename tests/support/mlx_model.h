#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/support/coded_model.h"

namespace carat {

/// 4-bit groups of 32, a per-layer table of 2-bit groups of 64, and floats where mlx-lm has none of these.
inline Scheme mlx_scheme() {
  return {.name = "mlx",
          .rules = {{"*norm.weight", DType::kBF16},
                    {"*per_layer_model_projection.weight", DType::kBF16},
                    {"*router*", DType::kF32},
                    {"*embed_tokens_per_layer.weight", DType::kI2, 64},
                    {"*embed_tokens.weight", DType::kI4, 32},
                    {"*_proj.weight", DType::kI4, 32},
                    {"*per_layer_*.weight", DType::kI4, 32}}};
}

/// A model of random codes with scales of both signs, experts among them.
struct MlxModel : CodedModel {
  MlxModel(const TinyShape& shape, DType scale_type, uint32_t model_seed)
      : CodedModel(shape, mlx_scheme(), model_seed) {
    for (TensorSpec& spec : tensors) {
      if (spec.shape.size() == 3) spec = {spec.name, DType::kI4, spec.shape, spec.shape.back() / 32};
      spec.scale_dtype = scale_type;
    }
  }

  /// That of `CodedModel`, every third scale below zero.
  TensorProducer producer() const {
    return [values = CodedModel::producer()](const TensorSpec& spec, const ByteSink& sink) {
      if (!spec.name.ends_with("_scale")) return values(spec, sink);
      return values(spec, [&](Bytes bytes) {
        std::vector<std::byte> changed(bytes.begin(), bytes.end());
        const auto width = static_cast<size_t>(block_bytes(spec.dtype));
        for (size_t i = width - 1; i < changed.size(); i += 3 * width) changed[i] |= std::byte{0x80};
        return sink(changed);
      });
    };
  }

  Result<uint64_t> write(const std::filesystem::path& target) const {
    return write_checkpoint(target, Container::kMlx, config, vocabulary, tensors, producer());
  }
};

}  // namespace carat
