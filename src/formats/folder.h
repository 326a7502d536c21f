#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "formats/checkpoint_content.h"
#include "formats/tensor_stream.h"

namespace carat {

/// What config.json has of the other files that were written with it, see integrity.h.
inline constexpr const char* kFolderDigestsKey = "carat_files";

/// Reads a HuggingFace folder: config.json, tokenizer.json or tokenizer.model, model.safetensors or the shards that
/// model.safetensors.index.json names; generation_config.json when it is there, and the chat template:
/// chat_template.jinja, or without it what tokenizer_config.json has under `chat_template`. Tensors may be quantized by
/// the methods of `quantization_from_json`.
Result<CheckpointContent> read_folder(const std::filesystem::path& folder);

/// The vocabulary of a folder alone: tokenizer.json, or tokenizer.model when there is none, with generation_config.json
/// and the chat template as above.
Result<Vocabulary> read_folder_vocabulary(const std::filesystem::path& folder);

/// The paths of its files with tensors: model.safetensors, or those that model.safetensors.index.json names. They need
/// not be there.
Result<std::vector<std::filesystem::path>> folder_weight_files(const std::filesystem::path& folder);

/// The path of its tokenizer.json, or of its tokenizer.model when there is no such file.
std::filesystem::path folder_tokenizer_file(const std::filesystem::path& folder);

/// Writes one, see `write_checkpoint`. Every tensor is of floats or of integer codes, and its size fits. Floats alone
/// make a folder without `quantization_config`.
Result<uint64_t> write_folder(const std::filesystem::path& folder, Container container, const ModelConfig& config,
                              const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                              const TensorProducer& producer);

}  // namespace carat
