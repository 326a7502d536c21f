#include <algorithm>
#include <unordered_map>

#include "formats/litertlm_gemma4.h"
#include "formats/litertlm_tensors.h"

namespace carat {
namespace {

constexpr int64_t kWindow = 512;
constexpr int64_t kContext = 131072;
constexpr float kSoftcap = 30.0f;

/// Finds the shape of a model in those of its tensors.
class ShapeReader {
 public:
  ShapeReader(const std::vector<NamedTensor>& tensors, const std::string& source) : source_(source) {
    for (const NamedTensor& tensor : tensors) shapes_[tensor.name] = &tensor.view.shape;
  }

  Result<ModelConfig> read() {
    ModelConfig config;
    CARAT_TRY(const Shape embedding, matrix("model.embed_tokens.weight"));
    config.vocabulary = embedding[0];
    config.hidden = embedding[1];
    config.sliding_window = kWindow;
    config.context = kContext;
    config.softcap = kSoftcap;
    CARAT_TRY(const int64_t layers, read_per_layer_width(config));
    int64_t shared = 0;
    for (int64_t layer = 0; layer < layers; ++layer) CARAT_TRY_STATUS(add_layer(layer, config, shared));
    CARAT_TRY_STATUS(assign_types(config));
    if (auto assigned = assign_kv_layers(config, shared); !assigned.ok()) return error(assigned.error().message);
    for (LayerConfig& layer : config.layers) {
      layer.kv_heads = config.layers[static_cast<size_t>(layer.kv_layer)].kv_heads;
    }
    if (auto valid = validate(config); !valid.ok()) return error(valid.error().message);
    return config;
  }

 private:
  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  bool has(const std::string& name) const { return shapes_.contains(name); }

  Result<Shape> matrix(const std::string& name) const { return shape(name, 2); }

  Result<Shape> shape(const std::string& name, size_t dimensions) const {
    const auto found = shapes_.find(name);
    if (found == shapes_.end()) {
      return error(name + ": is missing; expected a bundle of Gemma 4 E2B or E4B with the names of its training graph");
    }
    if (found->second->size() == dimensions) return *found->second;
    return error(name + ": " + shape_text(*found->second) + ", expected " + std::to_string(dimensions) + " extents");
  }

  /// The number of layers: each has a table.
  Result<int64_t> read_per_layer_width(ModelConfig& config) const {
    int64_t layers = 0;
    while (layers < kMostLayers && has(per_layer_part(layers))) ++layers;
    if (layers == 0) return error("has no tables of per-layer embeddings; expected a bundle of Gemma 4 E2B or E4B");
    CARAT_TRY(const Shape table, matrix(per_layer_part(0)));
    config.per_layer_width = table[1];
    for (int64_t layer = 1; layer < layers; ++layer) {
      CARAT_TRY(const Shape other, matrix(per_layer_part(layer)));
      if (other != table)
        return error(per_layer_part(layer) + ": " + shape_text(other) + ", expected " + shape_text(table));
    }
    return layers;
  }

  /// Attention types and the key-value heads of sharing layers are not known yet.
  Status add_layer(int64_t index, ModelConfig& config, int64_t& shared) const {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    CARAT_TRY(const Shape norm, shape(prefix + "self_attn.q_norm.weight", 1));
    CARAT_TRY(const Shape queries, matrix(prefix + "self_attn.q_proj.weight"));
    CARAT_TRY(const Shape gate, matrix(prefix + "mlp.gate_proj.weight"));
    LayerConfig layer;
    layer.head_width = norm[0];
    layer.ffn_width = gate[0];
    CARAT_TRY(const int64_t heads, heads_of(prefix + "self_attn.q_proj.weight", queries[0], layer.head_width));
    if (index > 0 && heads != config.heads) {
      return error(prefix + "self_attn.q_proj.weight: " + std::to_string(heads) + " heads, layer 0 has " +
                   std::to_string(config.heads));
    }
    config.heads = heads;
    if (const std::string keys = prefix + "self_attn.k_proj.weight"; !has(keys)) {
      ++shared;
    } else {
      if (shared > 0) return error(keys + ": follows layers without keys; expected sharing layers to be the last");
      CARAT_TRY(const Shape key_shape, matrix(keys));
      CARAT_TRY(layer.kv_heads, heads_of(keys, key_shape[0], layer.head_width));
    }
    config.layers.push_back(layer);
    return success();
  }

  Result<int64_t> heads_of(const std::string& name, int64_t rows, int64_t head_width) const {
    if (head_width > 0 && rows >= head_width && rows % head_width == 0) return rows / head_width;
    return error(name + ": " + std::to_string(rows) + " rows are no whole heads of width " +
                 std::to_string(head_width));
  }

  Status assign_types(ModelConfig& config) const {
    const auto [narrow, wide] = std::ranges::minmax(config.layers, {}, &LayerConfig::head_width);
    const int64_t sliding = narrow.head_width;
    const int64_t full = wide.head_width;
    if (sliding == full) {
      return error("all heads have " + std::to_string(full) +
                   " values; expected two widths, that of sliding layers and that of full ones");
    }
    for (LayerConfig& layer : config.layers) {
      if (layer.head_width != sliding && layer.head_width != full) {
        return error("heads of three widths, " + std::to_string(layer.head_width) + " among them; expected two");
      }
      layer.attention = layer.head_width == full ? AttentionType::kFull : AttentionType::kSliding;
    }
    return success();
  }

  const std::string& source_;
  std::unordered_map<std::string, const Shape*> shapes_;
};

}  // namespace

Result<ModelConfig> config_of_litertlm(const std::vector<NamedTensor>& tensors, const std::string& source) {
  return ShapeReader(tensors, source).read();
}

}  // namespace carat
