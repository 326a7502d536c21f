#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file_write.h"
#include "formats/folder.h"
#include "formats/safetensors.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

std::string torch_name(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return "float16";
    case DType::kBF16:
      return "bfloat16";
    default:
      return "float32";
  }
}

DType embedding_type(const std::vector<TensorSpec>& tensors) {
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name == "model.embed_tokens.weight") return tensor.dtype;
  }
  return DType::kF32;
}

/// Tells transformers which class reads tokenizer.json and which pieces have a part to play.
std::string tokenizer_config_json(const Vocabulary& vocabulary) {
  nlohmann::ordered_json root;
  root["tokenizer_class"] = "PreTrainedTokenizerFast";
  root["clean_up_tokenization_spaces"] = false;
  const auto name_piece = [&](const char* role, int32_t id) {
    if (id >= 0 && id < vocabulary.size()) root[role] = vocabulary.pieces[static_cast<size_t>(id)];
  };
  name_piece("bos_token", vocabulary.bos);
  name_piece("eos_token", vocabulary.eos);
  name_piece("unk_token", vocabulary.unknown);
  name_piece("pad_token", vocabulary.padding);
  name_piece("mask_token", vocabulary.mask);
  return root.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<AtomicFile> write_weights(const fs::path& path, const std::vector<TensorSpec>& tensors,
                                 const TensorProducer& producer) {
  CARAT_TRY(AtomicFile file, AtomicFile::create(path));
  CARAT_TRY_STATUS(file.write(safetensors_header(tensors)));
  for (const TensorSpec& tensor : tensors) CARAT_TRY_STATUS(write_tensor(file, tensor, producer, 1));
  return file;
}

}  // namespace

Result<uint64_t> write_folder(const fs::path& folder, const ModelConfig& config, const Vocabulary& vocabulary,
                              std::vector<TensorSpec> tensors, const TensorProducer& producer) {
  CARAT_TRY(const std::string config_json, config_to_json(config, torch_name(embedding_type(tensors))));
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return failed(folder.string() + ": cannot be created: " + error.message());

  // Wide elements first keeps every tensor at a multiple of its element size.
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return block_bytes(a.dtype) > block_bytes(b.dtype);
  });

  std::vector<AtomicFile> files;
  CARAT_TRY(AtomicFile weights, write_weights(folder / "model.safetensors", tensors, producer));
  files.push_back(std::move(weights));
  std::vector<std::pair<std::string, std::string>> texts = {
      {"tokenizer.json", vocabulary_to_tokenizer_json(vocabulary)},
      {"tokenizer_config.json", tokenizer_config_json(vocabulary)},
      {"generation_config.json", generation_config_json(vocabulary)},
  };
  if (!vocabulary.chat_template.empty()) texts.emplace_back("chat_template.jinja", vocabulary.chat_template);
  texts.emplace_back("config.json", config_json);
  for (const auto& [name, text] : texts) {
    CARAT_TRY(AtomicFile file, AtomicFile::create(folder / name));
    CARAT_TRY_STATUS(file.write(text));
    files.push_back(std::move(file));
  }

  uint64_t bytes = 0;
  for (AtomicFile& file : files) {
    CARAT_TRY_STATUS(file.commit());
    bytes += file.size();
  }
  // A template that an earlier checkpoint left here would be taken for this one's.
  if (vocabulary.chat_template.empty()) fs::remove(folder / "chat_template.jinja", error);
  return bytes;
}

}  // namespace carat
