#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <span>
#include <string_view>
#include <unordered_set>

#include "base/check.h"
#include "formats/mlx.h"
#include "formats/mlx_names.h"
#include "formats/mlx_rules.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/codes.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kGateAndUp = ".experts.gate_up_proj";
constexpr std::array<int64_t, 3> kGroupColumns = {32, 64, 128};

/// Each matrix of a stack has `count` parts, one after the other; this is one of them.
struct Part {
  uint64_t index = 0;
  uint64_t count = 1;
};

/// Passes on the bytes of one part of each matrix, which has `matrix_bytes`.
ByteSink sink_of_part(const Part& part, uint64_t matrix_bytes, ByteSink sink) {
  const uint64_t begin = matrix_bytes / part.count * part.index, end = matrix_bytes / part.count * (part.index + 1);
  return [begin, end, matrix_bytes, sink = std::move(sink), position = uint64_t{0}](Bytes bytes) mutable -> Status {
    while (!bytes.empty()) {
      const uint64_t at = position % matrix_bytes;
      const bool wanted = at >= begin && at < end;
      const uint64_t next = wanted ? end : at < begin ? begin : matrix_bytes;
      const Bytes piece = bytes.first(std::min<uint64_t>(bytes.size(), next - at));
      if (wanted) CARAT_TRY_STATUS(sink(piece));
      position += piece.size();
      bytes = bytes.subspan(piece.size());
    }
    return success();
  };
}

/// Replaces scales of type `Stored` by `factor` times each; the product is exact unless it is infinite.
template <typename Stored>
Status multiply(std::span<std::byte> scales, float factor, const std::string& name) {
  for (size_t i = 0; i < scales.size(); i += sizeof(Stored)) {
    Stored stored;
    std::memcpy(&stored, scales.data() + i, sizeof(stored));
    float scale;
    if constexpr (sizeof(Stored) == sizeof(float)) {
      scale = stored;
    } else {
      scale = float_from_bf16(stored);
    }
    const float bias = factor * scale;
    if (!std::isfinite(bias)) {
      return refused(name + ": a scale of " + number_text(scale) + " is too large for MLX, which also stores " +
                     number_text(factor) + " times it; use another format");
    }
    if constexpr (sizeof(Stored) == sizeof(float)) {
      stored = bias;
    } else {
      stored = bf16_from_float(bias);
    }
    std::memcpy(scales.data() + i, &stored, sizeof(stored));
  }
  return success();
}

/// Takes scales and passes on the biases beside them.
ByteSink sink_of_biases(const TensorSpec& codes, ByteSink sink) {
  const auto factor = static_cast<float>(code_range(code_bits(codes.dtype)).lowest);
  const bool wide = codes.scale_dtype == DType::kF32;
  return [wide, factor, name = codes.name, sink = std::move(sink),
          held = std::vector<std::byte>()](Bytes bytes) mutable -> Status {
    held.insert(held.end(), bytes.begin(), bytes.end());
    const size_t whole = held.size() - held.size() % (wide ? sizeof(float) : sizeof(uint16_t));
    const auto scales = std::span(held).first(whole);
    CARAT_TRY_STATUS(wide ? multiply<float>(scales, factor, name) : multiply<uint16_t>(scales, factor, name));
    CARAT_TRY_STATUS(sink(scales));
    held.erase(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(whole));
    return success();
  };
}

/// mlx-lm takes the number of key-value heads of full layers from a setting that it reads only where they use keys as
/// values.
Status check_heads(const ModelConfig& config) {
  const auto sliding = std::ranges::find(config.layers, AttentionType::kSliding, &LayerConfig::attention);
  for (const LayerConfig& layer : config.layers) {
    if (layer.attention != AttentionType::kFull || layer.value_is_key || sliding == config.layers.end()) continue;
    if (layer.kv_heads == sliding->kv_heads) continue;
    return refused("an MLX folder cannot say that full layers have " + std::to_string(layer.kv_heads) +
                   " key-value heads and sliding ones " + std::to_string(sliding->kv_heads) +
                   "; write a GGUF file instead");
  }
  return success();
}

/// Builds the layout, one tensor of the model after the other.
class MlxLayout {
 public:
  explicit MlxLayout(const TensorProducer& producer) : producer_(producer) {}

  Status add(const TensorSpec& tensor) {
    names_.insert(tensor.name);
    if (is_static_scale(tensor.name)) {
      return refused(tensor.name +
                     ": MLX has no place for static quantizers; use the format safetensors or compressed-tensors");
    }
    if (!tensor.name.ends_with(kGateAndUp)) return add_part(tensor, tensor.name, {});
    const std::string experts = tensor.name.substr(0, tensor.name.size() - kGateAndUp.size()) + ".experts.";
    CARAT_TRY_STATUS(add_part(tensor, experts + "gate_proj", {0, 2}));
    return add_part(tensor, experts + "up_proj", {1, 2});
  }

  void add_missing_scalars(int64_t layers) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      const std::string name = "model.layers." + std::to_string(layer) + ".layer_scalar";
      if (names_.contains(name)) continue;
      const auto produce = [](const ByteSink& sink) {
        const uint16_t one = bf16_from_float(1.0f);
        return sink(std::as_bytes(std::span(&one, 1)));
      };
      stored_.push_back({name, "BF16", {1}, sizeof(uint16_t), produce});
    }
  }

  FolderLayout take() {
    if (modules_.empty()) return {std::move(stored_), nullptr, "mlx"};
    const MlxCodes most = most_common();
    ordered_json quantization = settings_json(most);
    quantization["mode"] = "affine";
    for (const auto& [module, codes] : modules_) {
      if (codes != most) quantization[module] = settings_json(codes);
    }
    return {std::move(stored_), std::move(quantization), "mlx"};
  }

 private:
  static ordered_json settings_json(const MlxCodes& codes) {
    return {{"group_size", codes.columns}, {"bits", codes.bits}};
  }

  /// Adds a part of `tensor` under the name that it would have inside Carat.
  Status add_part(const TensorSpec& tensor, const std::string& name, const Part& part) {
    if (is_code_type(tensor.dtype)) return add_codes(tensor, name, part);
    if (block_elements(tensor.dtype) != 1) {
      return refused(name + ": is stored as " + std::string(dtype_name(tensor.dtype)) +
                     ", which an MLX folder cannot hold; expected floats or the codes I4 and I2");
    }
    const std::string_view module = module_of_weight(name);
    const bool has_module = weight_of_module(module) == name;
    store(has_module ? mlx_module(module) + ".weight" : name, std::string(dtype_name(tensor.dtype)), tensor.shape,
          tensor, part);
    return success();
  }

  Status add_codes(const TensorSpec& tensor, const std::string& name, const Part& part) {
    const std::string_view own_module = module_of_weight(name);
    const bool matrices = tensor.shape.size() == 2 || tensor.shape.size() == 3;
    if (!matrices || weight_of_module(own_module) != name) {
      return refused(name + ": " + shape_text(tensor.shape) + " " + std::string(dtype_name(tensor.dtype)) +
                     " cannot be stored as MLX; expected matrices of a linear layer, an embedding or experts");
    }
    if (tensor.dtype != DType::kI4 && tensor.dtype != DType::kI2) {
      return refused(name + ": codes of the type " + std::string(dtype_name(tensor.dtype)) +
                     " cannot be stored as MLX by Carat, expected I4 or I2; use another scheme or format");
    }
    CARAT_CHECK(tensor.scale_groups > 0 && tensor.shape.back() % tensor.scale_groups == 0, "whole groups in a row");
    const int64_t columns = tensor.shape.back() / tensor.scale_groups;
    if (std::ranges::find(kGroupColumns, columns) == kGroupColumns.end()) {
      return refused(name + ": " + std::to_string(columns) +
                     " columns share a scale; MLX has groups of 32, 64 or 128; use the format safetensors or " +
                     "compressed-tensors");
    }
    store_codes(tensor, mlx_module(own_module), part);
    modules_.emplace_back(mlx_module(own_module), MlxCodes{code_bits(tensor.dtype), columns});
    return success();
  }

  void store_codes(const TensorSpec& tensor, const std::string& module, const Part& part) {
    Shape words = tensor.shape;
    words.back() = words.back() * code_bits(tensor.dtype) / 32;
    store(module + ".weight", "U32", words, tensor, part);
    Shape groups = tensor.shape;
    groups.back() = tensor.scale_groups;
    const TensorSpec scales = scales_of(tensor);
    const std::string type(dtype_name(scales.dtype));
    store(module + ".scales", type, groups, scales, part);
    store(module + ".biases", type, groups, scales, part);
    const auto produce_scales = stored_.back().produce;
    stored_.back().produce = [tensor, produce_scales](const ByteSink& sink) {
      return produce_scales(sink_of_biases(tensor, sink));
    };
  }

  /// `source` is what the producer is asked for, `shape` that of all its parts in elements of `type`.
  void store(std::string name, std::string type, Shape shape, const TensorSpec& source, const Part& part) {
    const auto bytes = tensor_bytes(source.dtype, source.shape);
    CARAT_CHECK(bytes.has_value(), "a tensor whose size fits");
    const uint64_t matrices = shape.size() == 3 ? static_cast<uint64_t>(shape[0]) : 1;
    CARAT_CHECK(part.count == 1 || shape.size() == 3, "parts of the matrices of a stack");
    if (part.count > 1) shape[1] /= static_cast<int64_t>(part.count);
    const auto produce = [&producer = producer_, source, part, matrix_bytes = *bytes / matrices](const ByteSink& sink) {
      return producer(source, part.count == 1 ? sink : sink_of_part(part, matrix_bytes, sink));
    };
    stored_.push_back({std::move(name), std::move(type), std::move(shape), *bytes / part.count, produce});
  }

  MlxCodes most_common() const {
    const auto count = [&](const MlxCodes& codes) {
      return std::ranges::count(modules_, codes, &std::pair<std::string, MlxCodes>::second);
    };
    MlxCodes most = modules_.front().second;
    for (const auto& [module, codes] : modules_) {
      if (codes != most && count(codes) > count(most)) most = codes;
    }
    return most;
  }

  const TensorProducer& producer_;
  std::unordered_set<std::string> names_;  // of all tensors
  std::vector<StoredSpec> stored_;
  std::vector<std::pair<std::string, MlxCodes>> modules_;  // those with codes
};

}  // namespace

Result<FolderLayout> mlx_layout(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                const TensorProducer& producer) {
  CARAT_TRY_STATUS(check_heads(config));
  MlxLayout layout(producer);
  for (const TensorSpec& tensor : tensors) CARAT_TRY_STATUS(layout.add(tensor));
  layout.add_missing_scalars(config.layer_count());
  return layout.take();
}

}  // namespace carat
