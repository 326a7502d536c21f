#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint_content.h"
#include "formats/model_config.h"
#include "formats/named_tensor.h"
#include "formats/tensor_stream.h"
#include "formats/vocabulary.h"
#include "tensor/tensor.h"

namespace carat {

/// An open model file, the same face for every container: its shape, its vocabulary and its tensors.
///
/// Tensors carry their HuggingFace text-only names (`model.layers.0.self_attn.q_proj.weight`), whatever the
/// container calls them, and lie in the mapped file: nothing is read before it is used. The views live as
/// long as the checkpoint.
class Checkpoint {
 public:
  /// `path` is a GGUF file, a HuggingFace folder (config.json, model.safetensors or its shards, tokenizer.json) or a
  /// LiteRT-LM bundle, whose name ends in ".litertlm". Refuses, with a message for people, whatever is damaged,
  /// contradicts itself or is not supported; reads no tensor data, and allocates nothing in proportion to a size that a
  /// file only claims.
  ///
  /// Integer codes have their scales in their views, whatever the container calls them.
  ///
  /// Every tensor of the model is there with its shape, in the order of `expected_tensors`; only a `layer_scalar`
  /// may be missing, and counts as 1, and the experts' `gate_up_proj` [E, 2 Fe, D] of a layer may be two tensors,
  /// `gate_proj` and `up_proj` [E, Fe, D]; a bundle has the per-layer table [V, L P] as a table [V, P] for each layer,
  /// `model.embed_tokens_per_layer.<layer>.weight`. Behind them are those of `static_scales` that the file has, then
  /// the scales beside blocks of GGUF (gguf_scales.h). Left out are other parts of a composite model (vision, audio),
  /// the copy of a tied head, and keys and values of layers that share those of another. Any other tensor of a layer is
  /// refused: the configuration does not describe that model. The values are not looked at (`check_values`).
  ///
  /// A recorded scheme that the types of the matrices contradict does not count, for another program has rounded them
  /// since: a built-in one whose lattice a matrix would be stored in another type for, see `storable`. In a folder F32
  /// contradicts nothing, no float contradicts a scheme of blocks, and neither do the codes of `codes_for_blocks`.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  /// What was opened, for messages.
  const std::filesystem::path& path() const { return path_; }
  Container container() const { return container_; }
  const ModelConfig& config() const { return config_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  const std::vector<NamedTensor>& tensors() const { return tensors_; }

  /// Frees what only a tokenizer is made of, the pieces, their scores and the merges: tens of megabytes. The rest of
  /// the vocabulary stays, the pieces' types too.
  void drop_pieces();

  /// Null when there is no such tensor: a `layer_scalar` that counts as 1, a static quantizer that the model lacks.
  const TensorView* find(std::string_view name) const;

  /// Bytes of the tensors that were left out: they stay on disk.
  uint64_t bytes_left_out() const { return bytes_left_out_; }

  /// Where bytes of a tensor's view, its data or its scales, lie in a file; nothing for bytes that lie in none.
  std::optional<SourcePlace> place_of(Bytes bytes) const;

 private:
  Checkpoint() = default;
  Status take(CheckpointContent content, const std::string& source);

  std::filesystem::path path_;
  Container container_ = Container::kGguf;
  ModelConfig config_;
  Vocabulary vocabulary_;
  std::vector<NamedTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
  uint64_t bytes_left_out_ = 0;
  std::shared_ptr<const void> storage_;  // keeps the mapped files
  std::vector<const FileMap*> files_;    // in storage_
};

/// The tensors that a model of this shape has, in the order in which we write them, with `dtype` F32.
/// Layers that share keys and values have no k_proj, v_proj and k_norm, those that use keys as values no v_proj; a tied
/// head has no tensor. Gate and up projections of all experts are one tensor, the rows of an expert's gate first.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config);

/// The scales of the static 8-bit quantizers that a model of this shape may have, F32 without extents, positive and
/// finite: `<module>.input_activation_scale` and `.output_activation_scale` of every linear layer and of `lm_head`,
/// `model.layers.N.self_attn.k_cache_scale` and `.v_cache_scale` of the layers that own keys and values.
std::vector<TensorSpec> static_scales(const ModelConfig& config);

/// Writes a checkpoint, streaming: no tensor is ever whole in memory here. `target` is a GGUF file or a HuggingFace
/// folder (created when missing). Files appear whole or not at all; in a folder none appears before all are written,
/// the tensors take their place first and config.json last.
///
/// `tensors` are those of `expected_tensors` (a `layer_scalar` may be missing) and any of `static_scales`, each of a
/// type that `storable` gives. A folder holds them by falling element size, so `producer` is not called in the order of
/// `tensors`, and of a quantized folder it may be called more than once for one tensor. Refuses rows that are no whole
/// number of blocks of their type, and for a folder a config that config.json cannot express. kLitertlm is not written.
/// Returns the bytes written.
Result<uint64_t> write_checkpoint(const std::filesystem::path& target, Container container, const ModelConfig& config,
                                  const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                                  const TensorProducer& producer);

/// The same, into the container of `container_of_path`.
Result<uint64_t> write_checkpoint(const std::filesystem::path& target, const ModelConfig& config,
                                  const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                                  const TensorProducer& producer);

/// GGUF for a path that ends in ".gguf", safetensors for others.
Container container_of_path(const std::filesystem::path& target);

/// The type in which a container stores the values of tensor `name`, which lie on this lattice, without moving them.
///
/// In folders a block type becomes F32, and integer codes those types of the same width that safetensors packs: I8, I4,
/// I2. In GGUF routers of experts and everything with less than two dimensions are F32, as llama.cpp has them, and
/// integer codes the blocks that carry them (`block_type_of`), their scales rounded to binary16. The rest stays.
DType storable(Container container, DType lattice, std::string_view name, const Shape& shape);

/// Integer codes in groups of `length` columns with a scale each.
struct BlockCodes {
  DType type;
  int64_t length;
};

/// How a container keeps values of this lattice, a type of blocks, where it has no blocks and yet codes for the tensor:
/// Q4_0 as I4 in groups of 32 in folders of compressed-tensors (a matrix) and MLX (a matrix, or those of experts), Q8_0
/// as I8 in those of compressed-tensors. Routers are never codes.
std::optional<BlockCodes> codes_for_blocks(Container container, DType lattice, std::string_view name,
                                           const Shape& shape);

/// Whether a tensor lies on this lattice by the type in which `container` has it: the lattice itself, or its codes.
bool is_stored_on(DType lattice, Container container, const NamedTensor& tensor);

/// What `container` calls the tensor that has this name inside Carat, for messages.
std::string name_in(Container container, const std::string& name);

}  // namespace carat
