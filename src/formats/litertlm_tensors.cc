#include "formats/litertlm_tensors.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "formats/code_scales.h"
#include "formats/litertlm_names.h"
#include "formats/model_config.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "formats/tflite.h"

namespace carat {
namespace {

constexpr const char* kDecoder = "tf_lite_prefill_decode";
constexpr const char* kEmbedder = "tf_lite_embedder";
constexpr const char* kPerLayerEmbedder = "tf_lite_per_layer_embedder";
constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head";

/// A path for messages; what is special of it is its end.
std::string path_end(std::string_view path) {
  constexpr size_t kLongest = 72;
  return path.size() <= kLongest ? printable(path) : "..." + printable(path.substr(path.size() - kLongest));
}

/// Collects tensors from one graph.
class Collector {
 public:
  Collector(const TfliteGraph& graph, std::string source) : graph_(graph), source_(std::move(source)) {}

  /// All that the graph of the decoder holds. The head is under `lm_head.weight`.
  Result<std::vector<NamedTensor>> decoder() {
    CARAT_TRY_STATUS(add_linear_layers());
    CARAT_TRY_STATUS(add_vectors());
    for (const TfliteTensor& tensor : graph_.tensors) CARAT_TRY_STATUS(add_cache(tensor.name, tensor));
    for (const TfliteInput& input : graph_.inputs) CARAT_TRY_STATUS(add_cache(input.name, at(input.tensor)));
    CARAT_TRY_STATUS(take_caches());
    return std::move(tensors_);
  }

  /// The tables of codes, in their order; unless `rows` is 0, those with as many rows.
  Result<std::vector<TensorView>> tables(int64_t rows) const {
    std::vector<TensorView> found;
    for (const TfliteTensor& tensor : graph_.tensors) {
      const auto dtype = dtype_of(tensor.type);
      if (!dtype || !is_code_type(*dtype) || !tensor.is_constant() || tensor.shape.size() != 2) continue;
      if (rows != 0 && tensor.shape[0] != rows) continue;
      CARAT_TRY(TensorView view, codes(tensor, path_end(tensor.name)));
      found.push_back(std::move(view));
    }
    return found;
  }

 private:
  /// The scales of the two caches of a layer, by the names of their tensors inside Carat.
  using CacheScales = std::unordered_map<std::string, Bytes>;

  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  const TfliteTensor& at(int32_t index) const { return graph_.tensors[static_cast<size_t>(index)]; }

  const TfliteTensor* operand(const FlatNumbers<int32_t>& operands, size_t index) const {
    if (index >= operands.size() || operands[index] < 0) return nullptr;
    return &at(operands[index]);
  }

  Status check_zero_points(const TfliteTensor& tensor, const std::string& name) const {
    for (size_t i = 0; i < tensor.zero_points.size(); ++i) {
      if (tensor.zero_points[i] == 0) continue;
      return error(name + ": a zero point of " + std::to_string(tensor.zero_points[i]) +
                   ", expected 0; asymmetric codes are not supported");
    }
    return success();
  }

  Result<TensorView> codes(const TfliteTensor& tensor, const std::string& name) const {
    const auto dtype = dtype_of(tensor.type);
    const bool is_matrix = tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0;
    if (!dtype || !is_code_type(*dtype) || !is_matrix) {
      return error(name + ": expected a matrix of INT2, INT4 or INT8, found " + shape_text(tensor.shape) + " of type " +
                   std::to_string(static_cast<int>(tensor.type)));
    }
    const auto bytes = tensor_bytes(*dtype, tensor.shape);
    if (!bytes || *bytes != tensor.data.size()) {
      return error(name + ": " + std::to_string(tensor.data.size()) + " bytes, expected those of " +
                   shape_text(tensor.shape) + " " + std::string(dtype_name(*dtype)) + " in rows of whole bytes");
    }
    const bool one_a_row =
        tensor.quantized_dimension == 0 && tensor.scales.size() == static_cast<size_t>(tensor.shape[0]);
    if (!one_a_row) {
      return error(name + ": " + std::to_string(tensor.scales.size()) + " scales along dimension " +
                   std::to_string(tensor.quantized_dimension) + ", expected one for each of " +
                   std::to_string(tensor.shape[0]) + " rows");
    }
    CARAT_TRY_STATUS(check_zero_points(tensor, name));
    const ScaleView scales = {DType::kF32, 1, tensor.scales.bytes()};
    CARAT_TRY_STATUS(check_scales(name, scales, source_));
    return TensorView{*dtype, tensor.shape, tensor.data, scales};
  }

  Status add_linear_layers() {
    for (const TfliteOperator& op : graph_.operators) {
      const TfliteTensor* weight = operand(op.inputs, 1);
      if (op.op != TfliteOp::kFullyConnected || weight == nullptr || !weight->is_constant()) continue;
      const TfliteTensor* input = operand(op.inputs, 0);
      const TfliteTensor* output = operand(op.outputs, 0);
      if (input == nullptr || output == nullptr) return error(path_end(weight->name) + ": has no input or no output");
      auto module = linear_module_of_path(weight->name);
      if (!module) module = linear_module_of_path(output->name);
      if (!module) {
        return error(path_end(weight->name) +
                     ": no layer of Gemma 4 is known by this name; the bundle is newer or of another model");
      }
      if (!weights_.insert(weight).second) {
        return error(*module + " (" + path_end(weight->name) + "): is the weight of two layers; the file is damaged");
      }
      CARAT_TRY(TensorView view, codes(*weight, *module + " (" + path_end(weight->name) + ")"));
      tensors_.push_back({*module + ".weight", std::move(view)});
      CARAT_TRY_STATUS(add_static_scale(*module + std::string(kInputScale), *input));
      CARAT_TRY_STATUS(add_static_scale(*module + std::string(kOutputScale), *output));
      if (*module == kHead) head_input_ = input;
    }
    return success();
  }

  /// A tensor of floats has no quantizer.
  Result<Bytes> static_scale(const std::string& name, const TfliteTensor& tensor) const {
    if (tensor.type == TfliteType::kF32) return Bytes();
    if (tensor.type != TfliteType::kI8 || tensor.scales.size() != 1) {
      return error(name + ": " + std::to_string(tensor.scales.size()) + " scales around type " +
                   std::to_string(static_cast<int>(tensor.type)) + ", expected one around INT8");
    }
    CARAT_TRY_STATUS(check_zero_points(tensor, name));
    if (const float scale = tensor.scales[0]; !is_scale(scale)) {
      return error(name + ": expected a scale above zero, found " + number_text(scale) + "; the file is damaged");
    }
    return tensor.scales.bytes();
  }

  Status add_static_scale(const std::string& name, const TfliteTensor& tensor) {
    CARAT_TRY(const Bytes scale, static_scale(name, tensor));
    if (!scale.empty()) tensors_.push_back({name, {DType::kF32, {}, scale}});
    return success();
  }

  /// The one constant of floats among the inputs, null when there is none or there are several.
  const TfliteTensor* float_constant(const TfliteOperator& op) const {
    const TfliteTensor* found = nullptr;
    for (size_t i = 0; i < op.inputs.size(); ++i) {
      const TfliteTensor* input = operand(op.inputs, i);
      if (input == nullptr || !input->is_constant() || input->type != TfliteType::kF32) continue;
      if (found != nullptr) return nullptr;
      found = input;
    }
    return found;
  }

  Status add_vectors() {
    for (const TfliteOperator& op : graph_.operators) {
      const TfliteTensor* constant = float_constant(op);
      const TfliteTensor* output = operand(op.outputs, 0);
      if (constant == nullptr || output == nullptr) continue;
      const size_t length = constant->data.size() / sizeof(float);
      if (length == 1 && op.op == TfliteOp::kMul) {
        if (const auto name = layer_scalar_of_path(output->name)) CARAT_TRY_STATUS(add_floats(*name, *constant));
      } else if (length > 1 && op.op == TfliteOp::kComposite) {
        const auto name = output == head_input_ ? std::string("model.norm.weight") : norm_of_path(output->name);
        if (name && !name->empty()) CARAT_TRY_STATUS(add_floats(*name, *constant));
      }
    }
    return success();
  }

  /// Factors may have leading extents of 1.
  Status add_floats(const std::string& name, const TfliteTensor& tensor) {
    const int64_t length = tensor.shape.empty() ? 1 : tensor.shape.back();
    if (element_count(tensor.shape) != length || tensor.data.size() != static_cast<size_t>(length) * sizeof(float)) {
      return error(name + " (" + path_end(tensor.name) + "): " + std::to_string(tensor.data.size()) + " bytes of " +
                   shape_text(tensor.shape) + ", expected a vector of float32");
    }
    tensors_.push_back({name, {DType::kF32, {length}, tensor.data}});
    return success();
  }

  /// A cache may be named by the signature, by its tensor, or by both. One without a scale has no quantizer.
  Status add_cache(std::string_view path, const TfliteTensor& tensor) {
    const auto name = cache_scale_of_name(path);
    if (!name || tensor.is_constant() || tensor.scales.empty()) return success();
    CARAT_TRY(const Bytes scale, static_scale(*name, tensor));
    if (scale.empty()) return success();
    const auto [known, added] = caches_.emplace(*name, scale);
    if (added || std::ranges::equal(known->second, scale)) return success();
    return error(*name + ": is there twice, with different scales");
  }

  Status take_caches() {
    for (const auto& [keys, scale] : caches_) {
      if (!keys.ends_with(kKeyCacheScale)) continue;
      const std::string values = keys.substr(0, keys.size() - kKeyCacheScale.size()) + std::string(kValueCacheScale);
      const auto found = caches_.find(values);
      if (found == caches_.end()) return error(keys + ": has no " + values + " beside it");
      constexpr float kHighestCode = 127;
      if (FlatNumbers<float>(found->second)[0] * kHighestCode < 1) continue;
      tensors_.push_back({keys, {DType::kF32, {}, scale}});
      tensors_.push_back({values, {DType::kF32, {}, found->second}});
    }
    return success();
  }

  const TfliteGraph& graph_;
  const std::string source_;
  std::vector<NamedTensor> tensors_;
  CacheScales caches_;
  std::unordered_set<const TfliteTensor*> weights_;  // of linear layers, so that none is read again and again
  const TfliteTensor* head_input_ = nullptr;
};

/// Reads the graph of one model of a bundle and collects from it.
class Bundle {
 public:
  Bundle(const LitertlmContent& content, const std::string& source) : content_(content), source_(source) {}

  Result<std::vector<NamedTensor>> decoder() const {
    const std::string where = named(kDecoder);
    CARAT_TRY(const TfliteGraph graph, graph_of(kDecoder, "decode", where));
    return Collector(graph, where).decoder();
  }

  Result<std::vector<TensorView>> tables(const char* model_type, int64_t rows) const {
    const std::string where = named(model_type);
    CARAT_TRY(const TfliteGraph graph, graph_of(model_type, "", where));
    return Collector(graph, where).tables(rows);
  }

  std::string named(const char* model_type) const { return source_ + ": " + model_type; }

 private:
  Result<TfliteGraph> graph_of(const char* model_type, std::string_view signature, const std::string& where) const {
    const LitertlmSection* section = content_.find(LitertlmKind::kTfliteModel, model_type);
    if (section == nullptr) {
      return refused(where + ": the bundle has no such model; expected a bundle of Gemma 4 E2B or E4B with " +
                     kDecoder + ", " + kEmbedder + " and " + kPerLayerEmbedder);
    }
    return read_tflite(section->data, signature, where);
  }

  const LitertlmContent& content_;
  const std::string& source_;
};

bool same_codes(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape && same_mapped_bytes(a.data, b.data) &&
         same_mapped_bytes(a.scales.data, b.scales.data);
}

/// Takes the head out of `tensors`.
Status drop_head(const TensorView& embedding, const std::string& where, std::vector<NamedTensor>& tensors) {
  const auto head = std::ranges::find(tensors, "lm_head.weight", &NamedTensor::name);
  if (head == tensors.end())
    return refused(where + ": has no head; expected a weight with /decode_softmax/ in its name");
  if (!same_codes(head->view, embedding)) {
    return refused(where + ": the head is not the embedding, byte for byte; a head of its own is not supported");
  }
  tensors.erase(head);
  return success();
}

}  // namespace

std::string per_layer_part(int64_t layer) {
  return "model.embed_tokens_per_layer." + std::to_string(layer) + ".weight";
}

Result<std::vector<NamedTensor>> tensors_of_litertlm(const LitertlmContent& content, const std::string& source) {
  const Bundle bundle(content, source);
  CARAT_TRY(std::vector<NamedTensor> tensors, bundle.decoder());
  CARAT_TRY(const std::vector<TensorView> embeddings, bundle.tables(kEmbedder, 0));
  if (embeddings.size() != 1) {
    return refused(bundle.named(kEmbedder) + ": " + std::to_string(embeddings.size()) + " tables, expected one");
  }
  CARAT_TRY_STATUS(drop_head(embeddings.front(), bundle.named(kDecoder), tensors));
  tensors.push_back({kEmbedding, embeddings.front()});
  CARAT_TRY(const std::vector<TensorView> parts, bundle.tables(kPerLayerEmbedder, embeddings.front().rows()));
  for (size_t layer = 0; layer < parts.size(); ++layer) {
    if (parts[layer].dtype != parts.front().dtype) {
      return refused(bundle.named(kPerLayerEmbedder) + ": tables of several types, expected one type");
    }
    tensors.push_back({per_layer_part(static_cast<int64_t>(layer)), parts[layer]});
  }
  return tensors;
}

}  // namespace carat
