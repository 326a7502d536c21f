#include "formats/checkpoint.h"

#include <algorithm>
#include <functional>
#include <unordered_set>

#include "formats/folder.h"
#include "formats/gguf_gemma4.h"
#include "formats/litertlm_gemma4.h"
#include "formats/litertlm_tensors.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/recarry.h"
#include "lattice/scheme.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kGateAndUp = "experts.gate_up_proj";
constexpr std::string_view kGate = "experts.gate_proj";
constexpr std::string_view kUp = "experts.up_proj";

std::string layer_name(int64_t layer, std::string_view name) {
  return "model.layers." + std::to_string(layer) + "." + std::string(name);
}

void add_attention(const ModelConfig& config, int64_t index, std::vector<TensorSpec>& tensors) {
  const LayerConfig& layer = config.layers[static_cast<size_t>(index)];
  const int64_t q_width = config.heads * layer.head_width;
  const int64_t kv_width = layer.kv_heads * layer.head_width;
  const auto add = [&](std::string_view name, Shape shape) {
    tensors.push_back({layer_name(index, name), DType::kF32, std::move(shape)});
  };
  add("input_layernorm.weight", {config.hidden});
  add("self_attn.q_proj.weight", {q_width, config.hidden});
  add("self_attn.q_norm.weight", {layer.head_width});
  if (config.owns_kv(static_cast<size_t>(index))) {
    add("self_attn.k_proj.weight", {kv_width, config.hidden});
    if (!layer.value_is_key) add("self_attn.v_proj.weight", {kv_width, config.hidden});
    add("self_attn.k_norm.weight", {layer.head_width});
  }
  add("self_attn.o_proj.weight", {config.hidden, q_width});
  add("post_attention_layernorm.weight", {config.hidden});
}

void add_feed_forward(const ModelConfig& config, int64_t index, std::vector<TensorSpec>& tensors) {
  const int64_t width = config.layers[static_cast<size_t>(index)].ffn_width;
  const auto add = [&](std::string_view name, Shape shape) {
    tensors.push_back({layer_name(index, name), DType::kF32, std::move(shape)});
  };
  add("pre_feedforward_layernorm.weight", {config.hidden});
  add("mlp.gate_proj.weight", {width, config.hidden});
  add("mlp.up_proj.weight", {width, config.hidden});
  add("mlp.down_proj.weight", {config.hidden, width});
  if (config.experts != 0) {
    add("post_feedforward_layernorm_1.weight", {config.hidden});
    add("router.proj.weight", {config.experts, config.hidden});
    add("router.scale", {config.hidden});
    add("router.per_expert_scale", {config.experts});
    add("pre_feedforward_layernorm_2.weight", {config.hidden});
    add(kGateAndUp, {config.experts, 2 * config.expert_width, config.hidden});
    add("experts.down_proj", {config.experts, config.hidden, config.expert_width});
    add("post_feedforward_layernorm_2.weight", {config.hidden});
  }
  add("post_feedforward_layernorm.weight", {config.hidden});
  if (config.per_layer_width != 0) {
    add("per_layer_input_gate.weight", {config.per_layer_width, config.hidden});
    add("per_layer_projection.weight", {config.hidden, config.per_layer_width});
    add("post_per_layer_input_norm.weight", {config.hidden});
  }
  add("layer_scalar", {1});
}

using FoundTensors = std::unordered_map<std::string_view, const TensorView*>;

/// `merged` itself, or the two halves of a layer's gate_up_proj where the file has those instead.
std::vector<TensorSpec> gate_and_up_as_found(const TensorSpec& merged, const FoundTensors& found) {
  const std::string prefix = merged.name.substr(0, merged.name.size() - kGateAndUp.size());
  Shape half = merged.shape;
  half[1] /= 2;
  std::vector<TensorSpec> apart = {{prefix + std::string(kGate), DType::kF32, half},
                                   {prefix + std::string(kUp), DType::kF32, half}};
  const bool has_half = found.contains(apart[0].name) || found.contains(apart[1].name);
  if (has_half && !found.contains(merged.name)) return apart;
  return {merged};
}

/// The per-layer table itself, or a table for each layer where the file has those instead.
std::vector<TensorSpec> per_layer_table_as_found(const ModelConfig& config, const TensorSpec& table,
                                                 const FoundTensors& found) {
  if (found.contains(table.name) || !found.contains(per_layer_part(0))) return {table};
  std::vector<TensorSpec> parts;
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    parts.push_back({per_layer_part(layer), DType::kF32, {config.vocabulary, config.per_layer_width}});
  }
  return parts;
}

/// `expected_tensors` in the form in which the file holds the experts and the per-layer table.
std::vector<TensorSpec> expected_as_found(const ModelConfig& config, const FoundTensors& found) {
  std::vector<TensorSpec> expected;
  for (TensorSpec& spec : expected_tensors(config)) {
    if (spec.name.ends_with(kGateAndUp)) {
      for (TensorSpec& part : gate_and_up_as_found(spec, found)) expected.push_back(std::move(part));
    } else if (spec.name == kPerLayerTableName) {
      for (TensorSpec& part : per_layer_table_as_found(config, spec, found)) expected.push_back(std::move(part));
    } else {
      expected.push_back(std::move(spec));
    }
  }
  return expected;
}

std::string described(DType dtype, const Shape& shape) {
  return shape_text(shape) + " " + std::string(dtype_name(dtype));
}

Status check_tensor(Container container, const TensorSpec& expected, const TensorView& found) {
  // A vector is F32 in GGUF, as every program that reads the format expects.
  const bool vector_type = container == Container::kGguf && expected.shape.size() == 1;
  if (found.shape == expected.shape && (!vector_type || found.dtype == DType::kF32)) return success();
  const DType wanted = vector_type ? DType::kF32 : found.dtype;
  const bool other_vocabulary = expected.name == kEmbedding && found.columns() == expected.shape.back();
  return refused(name_in(container, expected.name) + ": expected " + described(wanted, expected.shape) + ", found " +
                 described(found.dtype, found.shape) +
                 (other_vocabulary ? "; the vocabulary of " + std::to_string(expected.shape.front()) +
                                         " pieces is not that of the model"
                                   : "; the file is damaged or was made for another model"));
}

bool is_linear(const TensorSpec& spec) {
  return spec.shape.size() == 2 && spec.name.ends_with(kWeight) && !spec.name.starts_with("model.embed_tokens");
}

Status check_static_scale(const std::string& name, const TensorView& found, const std::string& source) {
  if (!found.shape.empty() || (found.dtype != DType::kF32 && found.dtype != DType::kBF16)) {
    return refused(source + ": " + name + ": expected one F32 or BF16 number, found " +
                   described(found.dtype, found.shape));
  }
  const float scale = ScaleView{found.dtype, 1, found.data}.at(0, 0);
  if (is_scale(scale)) return success();
  return refused(source + ": " + name + ": expected a scale above zero, found " + number_text(scale) +
                 "; the file is damaged, copy or convert it again");
}

bool may_be_left_out(const ModelConfig& config, const std::string& name) {
  if (!name.starts_with("model.layers.")) return true;
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    if (config.owns_kv(layer)) continue;
    for (const char* dead : {"self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.k_norm.weight"}) {
      if (name == layer_name(static_cast<int64_t>(layer), dead)) return true;
    }
  }
  return false;
}

/// Why a file may not have the tensor `name` beside those of `taken`.
std::string why_unexpected(const std::string& name, const std::unordered_map<std::string, size_t>& taken) {
  for (const std::string_view half : {kGate, kUp}) {
    if (!name.ends_with(half)) continue;
    const std::string merged = name.substr(0, name.size() - half.size()) + std::string(kGateAndUp);
    if (taken.contains(merged))
      return "is there beside the tensor that holds gates and ups together; expected one form";
  }
  return "the model's configuration has no such tensor; the file is of another model or in a form that is not "
         "supported";
}

/// The type of codes of this width that safetensors packs.
DType packed_codes(DType codes) {
  if (codes == DType::kS4) return DType::kI4;
  return codes == DType::kS2 ? DType::kI2 : codes;
}

bool is_float(DType dtype) { return block_elements(dtype) == 1 && !is_code_type(dtype); }

/// Whether a tensor is stored as one that lies on the lattice of `scheme` may be.
bool agrees(const Scheme& scheme, Container container, const NamedTensor& tensor) {
  const auto& [name, view] = tensor;
  if (view.shape.size() < 2) return true;
  const DType lattice = scheme.lattice_of(name);
  if (container == Container::kGguf) return view.dtype == storable(container, lattice, name, view.shape);
  const bool quantized = has_blocks(scheme) || has_codes(scheme);
  if (view.dtype == DType::kF32 && quantized) return true;
  if (is_float(view.dtype) && has_blocks(scheme)) return true;
  return is_stored_on(lattice, container, tensor);
}

}  // namespace

std::string_view container_name(Container container) {
  switch (container) {
    case Container::kGguf:
      return "gguf";
    case Container::kSafetensors:
      return "safetensors";
    case Container::kCompressedTensors:
      return "compressed-tensors";
    case Container::kLitertlm:
      return "litertlm";
    case Container::kMlx:
      return "mlx";
  }
  __builtin_unreachable();
}

Container container_of_path(const fs::path& target) {
  return target.extension() == ".gguf" ? Container::kGguf : Container::kSafetensors;
}

DType storable(Container container, DType lattice, std::string_view name, const Shape& shape) {
  if (container != Container::kGguf) {
    if (is_code_type(lattice)) return packed_codes(lattice);
    return block_elements(lattice) == 1 ? lattice : DType::kF32;
  }
  if (shape.size() < 2 || is_router(name)) return DType::kF32;
  if (!is_code_type(lattice)) return lattice;
  return block_type_of(lattice, shape.back()).value_or(DType::kQ4_0);
}

std::optional<BlockCodes> codes_for_blocks(Container container, DType lattice, std::string_view name,
                                           const Shape& shape) {
  const bool of_matrices = container == Container::kMlx
                               ? shape.size() == 2 || shape.size() == 3
                               : container == Container::kCompressedTensors && shape.size() == 2;
  if (!of_matrices || is_router(name) || block_elements(lattice) == 1 || shape.back() % block_elements(lattice) != 0) {
    return std::nullopt;
  }
  if (lattice == DType::kQ4_0) return BlockCodes{DType::kI4, block_elements(lattice)};
  if (lattice == DType::kQ8_0 && container != Container::kMlx) return BlockCodes{DType::kI8, block_elements(lattice)};
  return std::nullopt;
}

bool is_stored_on(DType lattice, Container container, const NamedTensor& tensor) {
  const TensorView& view = tensor.view;
  if (view.dtype == lattice) return true;
  const auto codes = codes_for_blocks(container, lattice, tensor.name, view.shape);
  return codes && view.dtype == codes->type && view.scales.groups == view.columns() / codes->length;
}

std::string name_in(Container container, const std::string& name) {
  const auto gguf = container == Container::kGguf ? gguf_name_from_hf(name) : std::nullopt;
  return gguf.value_or(name);
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> tensors;
  tensors.push_back({std::string(kEmbedding), DType::kF32, {config.vocabulary, config.hidden}});
  if (config.per_layer_width != 0) {
    const int64_t packed = config.layer_count() * config.per_layer_width;
    tensors.push_back({std::string(kPerLayerTableName), DType::kF32, {config.vocabulary, packed}});
    tensors.push_back({"model.per_layer_model_projection.weight", DType::kF32, {packed, config.hidden}});
    tensors.push_back({"model.per_layer_projection_norm.weight", DType::kF32, {config.per_layer_width}});
  }
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    add_attention(config, layer, tensors);
    add_feed_forward(config, layer, tensors);
  }
  tensors.push_back({"model.norm.weight", DType::kF32, {config.hidden}});
  return tensors;
}

std::vector<TensorSpec> static_scales(const ModelConfig& config) {
  std::vector<TensorSpec> scales;
  const auto add = [&](const std::string& name) { scales.push_back({name, DType::kF32, {}}); };
  const auto add_linear = [&](const std::string& module) {
    add(module + std::string(kInputScale));
    add(module + std::string(kOutputScale));
  };
  for (const TensorSpec& spec : expected_tensors(config)) {
    if (is_linear(spec)) add_linear(spec.name.substr(0, spec.name.size() - kWeight.size()));
  }
  for (int64_t layer = 0; layer < config.layer_count(); ++layer) {
    if (!config.owns_kv(static_cast<size_t>(layer))) continue;
    add(layer_name(layer, "self_attn") + std::string(kKeyCacheScale));
    add(layer_name(layer, "self_attn") + std::string(kValueCacheScale));
  }
  add_linear("lm_head");
  return scales;
}

Status Checkpoint::take(CheckpointContent content, const std::string& source) {
  container_ = content.container;
  if (content.config.vocabulary != content.vocabulary.size()) {
    return refused(source + ": the model has " + std::to_string(content.config.vocabulary) +
                   " vocabulary entries, its tokenizer " + std::to_string(content.vocabulary.size()) +
                   " pieces; the files are of different models");
  }
  FoundTensors found;
  for (const NamedTensor& tensor : content.tensors) {
    if (!found.emplace(tensor.name, &tensor.view).second) {
      return refused(source + ": " + printable(tensor.name) + ": is there twice");
    }
  }
  for (TensorSpec& expected : expected_as_found(content.config, found)) {
    const auto entry = found.find(expected.name);
    if (entry == found.end()) {
      if (expected.name.ends_with(".layer_scalar")) continue;
      return refused(source + ": " + name_in(container_, expected.name) + ": is missing; expected " +
                     shape_text(expected.shape) + "; the file is incomplete or was made for another model");
    }
    if (auto checked = check_tensor(container_, expected, *entry->second); !checked.ok()) {
      return refused(source + ": " + checked.error().message);
    }
    index_[expected.name] = tensors_.size();
    tensors_.push_back({std::move(expected.name), *entry->second});
  }
  for (TensorSpec& scale : static_scales(content.config)) {
    const auto entry = found.find(scale.name);
    if (entry == found.end()) continue;
    CARAT_TRY_STATUS(check_static_scale(scale.name, *entry->second, source));
    index_[scale.name] = tensors_.size();
    tensors_.push_back({std::move(scale.name), *entry->second});
  }
  const size_t weights = container_ == Container::kGguf ? tensors_.size() : 0;
  for (size_t i = 0; i < weights; ++i) {
    const auto entry = found.find(tensors_[i].name + "_scale");
    if (entry == found.end()) continue;
    index_[std::string(entry->first)] = tensors_.size();
    tensors_.push_back({std::string(entry->first), *entry->second});
  }
  bytes_left_out_ = content.bytes_left_out;
  for (const NamedTensor& tensor : content.tensors) {
    if (index_.contains(tensor.name)) continue;
    if (may_be_left_out(content.config, tensor.name)) {
      bytes_left_out_ += tensor.view.data.size();
      continue;
    }
    return refused(source + ": " + printable(name_in(container_, tensor.name)) + ": " +
                   why_unexpected(tensor.name, index_));
  }
  config_ = std::move(content.config);
  if (const Scheme* scheme = built_in_scheme(config_.scheme)) {
    const bool agreed =
        std::ranges::all_of(tensors_, [&](const NamedTensor& tensor) { return agrees(*scheme, container_, tensor); });
    if (!agreed) config_.scheme.clear();
  }
  vocabulary_ = std::move(content.vocabulary);
  storage_ = std::move(content.storage);
  files_ = std::move(content.files);
  return success();
}

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return refused(path.string() +
                   ": there is no such file or folder; name a .gguf file, a HuggingFace folder or a .litertlm bundle");
  }
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  const auto read = fs::is_directory(path, ignored) ? read_folder
                    : is_litertlm_path(path)        ? read_litertlm
                                                    : read_gemma4_gguf;
  CARAT_TRY(CheckpointContent content, read(path));
  CARAT_TRY_STATUS(checkpoint.take(std::move(content), path.string()));
  return checkpoint;
}

void Checkpoint::drop_pieces() {
  vocabulary_.pieces = std::vector<std::string>();
  vocabulary_.scores = std::vector<float>();
  vocabulary_.merges = std::vector<Merge>();
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto entry = index_.find(std::string(name));
  return entry == index_.end() ? nullptr : &tensors_[entry->second].view;
}

std::optional<SourcePlace> Checkpoint::place_of(Bytes bytes) const {
  for (const FileMap* file : files_) {
    const std::byte* begin = file->bytes().data();
    const std::byte* end = begin + file->bytes().size();
    const bool inside = std::less_equal{}(begin, bytes.data()) && std::less{}(bytes.data(), end);
    if (inside) return SourcePlace{file, static_cast<uint64_t>(bytes.data() - begin)};
  }
  return std::nullopt;
}

Result<uint64_t> write_checkpoint(const fs::path& target, Container container, const ModelConfig& config,
                                  const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                                  const TensorProducer& producer) {
  CARAT_CHECK(container != Container::kLitertlm, "a container that can be written");
  for (const TensorSpec& tensor : tensors) {
    CARAT_CHECK(storable(container, tensor.dtype, tensor.name, tensor.shape) == tensor.dtype,
                "a type that the container can hold");
    if (tensor_bytes(tensor.dtype, tensor.shape)) continue;
    return refused(target.string() + ": " + tensor.name + ": rows of " + std::to_string(tensor.shape.back()) +
                   " values cannot be stored as " + std::string(dtype_name(tensor.dtype)) +
                   ", which needs a multiple of " + std::to_string(block_elements(tensor.dtype)) +
                   "; use another scheme");
  }
  return container == Container::kGguf ? write_gemma4_gguf(target, config, vocabulary, tensors, producer)
                                       : write_folder(target, container, config, vocabulary, tensors, producer);
}

Result<uint64_t> write_checkpoint(const fs::path& target, const ModelConfig& config, const Vocabulary& vocabulary,
                                  const std::vector<TensorSpec>& tensors, const TensorProducer& producer) {
  return write_checkpoint(target, container_of_path(target), config, vocabulary, tensors, producer);
}

}  // namespace carat
