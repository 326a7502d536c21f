#include "formats/checkpoint.h"

#include <algorithm>
#include <unordered_set>

#include "formats/folder.h"
#include "formats/gguf_gemma4.h"
#include "formats/names.h"
#include "formats/quote.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

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
    add("self_attn.v_proj.weight", {kv_width, config.hidden});
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
  add("post_feedforward_layernorm.weight", {config.hidden});
  if (config.per_layer_width != 0) {
    add("per_layer_input_gate.weight", {config.per_layer_width, config.hidden});
    add("per_layer_projection.weight", {config.hidden, config.per_layer_width});
    add("post_per_layer_input_norm.weight", {config.hidden});
  }
  add("layer_scalar", {1});
}

/// The name that the container itself uses, for messages.
std::string shown_name(Container container, const std::string& name) {
  const auto gguf = container == Container::kGguf ? gguf_name_from_hf(name) : std::nullopt;
  return printable(gguf.value_or(name));
}

std::string described(DType dtype, const Shape& shape) {
  return shape_text(shape) + " " + std::string(dtype_name(dtype));
}

Status check_tensor(Container container, const TensorSpec& expected, const TensorView& found) {
  // A vector is F32 in GGUF, as every program that reads the format expects.
  const bool vector_type = container == Container::kGguf && expected.shape.size() == 1;
  if (found.shape == expected.shape && (!vector_type || found.dtype == DType::kF32)) return success();
  const DType wanted = vector_type ? DType::kF32 : found.dtype;
  return refused(shown_name(container, expected.name) + ": expected " + described(wanted, expected.shape) + ", found " +
                 described(found.dtype, found.shape) + "; the file is damaged or was made for another model");
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

}  // namespace

std::string_view container_name(Container container) { return container == Container::kGguf ? "gguf" : "safetensors"; }

Container container_of_path(const fs::path& target) {
  return target.extension() == ".gguf" ? Container::kGguf : Container::kSafetensors;
}

DType storable(Container container, DType lattice, const Shape& shape) {
  if (container == Container::kGguf) return shape.size() == 1 ? DType::kF32 : lattice;
  return block_elements(lattice) == 1 ? lattice : DType::kF32;
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config) {
  std::vector<TensorSpec> tensors;
  tensors.push_back({"model.embed_tokens.weight", DType::kF32, {config.vocabulary, config.hidden}});
  if (config.per_layer_width != 0) {
    const int64_t packed = config.layer_count() * config.per_layer_width;
    tensors.push_back({"model.embed_tokens_per_layer.weight", DType::kF32, {config.vocabulary, packed}});
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

Status Checkpoint::take(CheckpointContent content, const std::string& source) {
  if (content.config.vocabulary != content.vocabulary.size()) {
    return refused(source + ": the model has " + std::to_string(content.config.vocabulary) +
                   " vocabulary entries, its tokenizer " + std::to_string(content.vocabulary.size()) +
                   " pieces; the files are of different models");
  }
  std::unordered_map<std::string_view, const TensorView*> found;
  for (const NamedTensor& tensor : content.tensors) {
    if (!found.emplace(tensor.name, &tensor.view).second) {
      return refused(source + ": " + printable(tensor.name) + ": is there twice");
    }
  }
  for (TensorSpec& expected : expected_tensors(content.config)) {
    const auto entry = found.find(expected.name);
    if (entry == found.end()) {
      if (expected.name.ends_with(".layer_scalar")) continue;
      return refused(source + ": " + shown_name(container_, expected.name) + ": is missing; expected " +
                     shape_text(expected.shape) + "; the file is incomplete or was made for another model");
    }
    if (auto checked = check_tensor(container_, expected, *entry->second); !checked.ok()) {
      return refused(source + ": " + checked.error().message);
    }
    index_[expected.name] = tensors_.size();
    tensors_.push_back({std::move(expected.name), *entry->second});
  }
  for (const NamedTensor& tensor : content.tensors) {
    if (index_.contains(tensor.name) || may_be_left_out(content.config, tensor.name)) continue;
    return refused(source + ": " + shown_name(container_, tensor.name) +
                   ": the model's configuration has no such tensor; the file is " +
                   "of another model or in a form that is not supported");
  }
  config_ = std::move(content.config);
  vocabulary_ = std::move(content.vocabulary);
  storage_ = std::move(content.storage);
  return success();
}

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    return refused(path.string() + ": there is no such file or folder; name a .gguf file or a HuggingFace folder");
  }
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  checkpoint.container_ = fs::is_directory(path, ignored) ? Container::kSafetensors : Container::kGguf;
  CARAT_TRY(CheckpointContent content,
            checkpoint.container_ == Container::kGguf ? read_gemma4_gguf(path) : read_folder(path));
  CARAT_TRY_STATUS(checkpoint.take(std::move(content), path.string()));
  return checkpoint;
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto entry = index_.find(std::string(name));
  return entry == index_.end() ? nullptr : &tensors_[entry->second].view;
}

Result<uint64_t> write_checkpoint(const fs::path& target, const ModelConfig& config, const Vocabulary& vocabulary,
                                  const std::vector<TensorSpec>& tensors, const TensorProducer& producer) {
  const Container container = container_of_path(target);
  for (const TensorSpec& tensor : tensors) {
    CARAT_CHECK(storable(container, tensor.dtype, tensor.shape) == tensor.dtype, "a type that the container can hold");
    if (tensor_bytes(tensor.dtype, tensor.shape)) continue;
    return refused(target.string() + ": " + tensor.name + ": rows of " + std::to_string(tensor.shape.back()) +
                   " values cannot be stored as " + std::string(dtype_name(tensor.dtype)) +
                   ", which needs a multiple of " + std::to_string(block_elements(tensor.dtype)) +
                   "; use another scheme");
  }
  return container == Container::kGguf ? write_gemma4_gguf(target, config, vocabulary, tensors, producer)
                                       : write_folder(target, config, vocabulary, tensors, producer);
}

}  // namespace carat
