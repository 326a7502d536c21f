#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/digested_file.h"
#include "formats/compressed_tensors.h"
#include "formats/folder.h"
#include "formats/gemma_quant.h"
#include "formats/mlx.h"
#include "formats/safetensors.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

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

/// The type that transformers is to compute in: that of the embedding, or of the last norm where that is quantized.
DType main_type(const std::vector<TensorSpec>& tensors) {
  DType type = DType::kF32;
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name == "model.embed_tokens.weight" && !is_code_type(tensor.dtype)) return tensor.dtype;
    if (tensor.name == "model.norm.weight") type = tensor.dtype;
  }
  return type;
}

Result<FolderLayout> layout_of(Container container, const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                               const TensorProducer& producer) {
  if (container == Container::kMlx) return mlx_layout(config, tensors, producer);
  const bool quantized =
      std::ranges::any_of(tensors, [](const TensorSpec& tensor) { return is_code_type(tensor.dtype); });
  if (quantized) {
    return container == Container::kCompressedTensors ? compressed_tensors_layout(config, tensors, producer)
                                                      : gemma_quant_layout(config, tensors, producer);
  }
  FolderLayout layout;
  for (const TensorSpec& tensor : tensors) layout.tensors.push_back(float_spec(tensor, producer));
  return layout;
}

Result<std::string> config_json_of(const ModelConfig& config, DType type, const FolderLayout& layout) {
  CARAT_TRY(const std::string text, config_to_json(config, torch_name(type)));
  if (layout.quantization_config.is_null()) return text;
  auto root = ordered_json::parse(text);
  root["tie_word_embeddings"] = std::ranges::none_of(
      layout.tensors, [](const StoredSpec& tensor) { return tensor.name.starts_with("lm_head."); });
  // For kv_cache_scheme the compressed-tensors package asks for one head width, which Gemma 4 has not.
  const auto cache = layout.quantization_config.find("kv_cache_scheme");
  const bool quantizes_cache = cache != layout.quantization_config.end() && !cache->is_null();
  if (quantizes_cache) root["allow_global_per_layer_attribute_access"] = true;
  if (layout.format == "mlx") root["quantization"] = layout.quantization_config;
  root["quantization_config"] = layout.quantization_config;
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

/// Tells transformers which class reads tokenizer.json and which pieces have a part to play.
std::string tokenizer_config_json(const Vocabulary& vocabulary) {
  ordered_json root;
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
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Status write_stored(DigestedFile& file, const StoredSpec& tensor) {
  const uint64_t begin = file.size();
  CARAT_TRY_STATUS(tensor.produce([&file](Bytes bytes) { return file.write(bytes); }));
  CARAT_CHECK(file.size() - begin == tensor.bytes, "exactly the tensor's bytes are produced");
  return success();
}

Result<DigestedFile> write_weights(const fs::path& path, FolderLayout layout) {
  // Wide elements first keeps every tensor at a multiple of its element size.
  std::ranges::stable_sort(layout.tensors, std::greater{},
                           [](const StoredSpec& tensor) { return stored_element_bytes(tensor.dtype).value_or(0); });
  CARAT_TRY(DigestedFile file, DigestedFile::create(path));
  CARAT_TRY_STATUS(file.write(safetensors_header(layout.tensors, layout.format)));
  for (const StoredSpec& tensor : layout.tensors) CARAT_TRY_STATUS(write_stored(file, tensor));
  return file;
}

/// The files of a folder, which take their places together, in the order in which they came. Of files that are there
/// the old content stays until then.
class FolderFiles {
 public:
  explicit FolderFiles(fs::path folder) : folder_(std::move(folder)) {}

  void add(const std::string& name, DigestedFile file) {
    digests_[name] = {{"bytes", file.size()}, {"sha256", file.digest()}};
    files_.push_back(std::move(file));
  }

  Status add_text(const std::string& name, const std::string& text) {
    CARAT_TRY(DigestedFile file, DigestedFile::create(folder_ / name));
    CARAT_TRY_STATUS(file.write(text));
    add(name, std::move(file));
    return success();
  }

  /// Of the files so far.
  const ordered_json& digests() const { return digests_; }

  /// Returns the bytes of all.
  Result<uint64_t> commit() {
    uint64_t bytes = 0;
    for (DigestedFile& file : files_) {
      CARAT_TRY_STATUS(file.commit());
      bytes += file.size();
    }
    return bytes;
  }

 private:
  fs::path folder_;
  std::vector<DigestedFile> files_;
  ordered_json digests_;
};

std::string with_digests(const std::string& config_json, const ordered_json& digests) {
  auto root = ordered_json::parse(config_json);
  root[kFolderDigestsKey] = digests;
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<uint64_t> write_files(const fs::path& folder, FolderLayout layout, const std::string& config_json,
                             const Vocabulary& vocabulary) {
  const std::string weights_name = "model.safetensors";
  FolderFiles files(folder);
  CARAT_TRY(DigestedFile weights, write_weights(folder / weights_name, std::move(layout)));
  files.add(weights_name, std::move(weights));
  CARAT_TRY_STATUS(files.add_text("tokenizer.json", vocabulary_to_tokenizer_json(vocabulary)));
  CARAT_TRY_STATUS(files.add_text("tokenizer_config.json", tokenizer_config_json(vocabulary)));
  CARAT_TRY_STATUS(files.add_text("generation_config.json", generation_config_json(vocabulary)));
  if (!vocabulary.chat_template.empty()) {
    CARAT_TRY_STATUS(files.add_text("chat_template.jinja", vocabulary.chat_template));
  }
  CARAT_TRY_STATUS(files.add_text("config.json", with_digests(config_json, files.digests())));
  CARAT_TRY(const uint64_t bytes, files.commit());
  // A template that an earlier checkpoint left here would be taken for this one's.
  std::error_code ignored;
  if (vocabulary.chat_template.empty()) fs::remove(folder / "chat_template.jinja", ignored);
  return bytes;
}

}  // namespace

Result<uint64_t> write_folder(const fs::path& folder, Container container, const ModelConfig& config,
                              const Vocabulary& vocabulary, const std::vector<TensorSpec>& tensors,
                              const TensorProducer& producer) {
  CARAT_TRY(FolderLayout layout, layout_of(container, config, tensors, producer));
  CARAT_TRY(const std::string config_json, config_json_of(config, main_type(tensors), layout));
  std::error_code error;
  const bool is_new = fs::create_directories(folder, error);
  if (error) return failed(folder.string() + ": cannot be created: " + error.message());

  Result<uint64_t> written = write_files(folder, std::move(layout), config_json, vocabulary);
  // Nothing happens to one that has files.
  if (!written.ok() && is_new) fs::remove(folder, error);
  return written;
}

}  // namespace carat
