#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "formats/compressed_tensors.h"
#include "formats/folder.h"
#include "formats/gemma_quant.h"
#include "formats/json_fields.h"
#include "formats/mlx.h"
#include "formats/names.h"
#include "formats/quantization_config.h"
#include "formats/quote.h"
#include "formats/safetensors.h"
#include "formats/sentencepiece.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kSentencePieceFile = "tokenizer.model";
constexpr const char* kIndexFile = "model.safetensors.index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// What a user who named this folder can do, which is no HuggingFace folder.
std::string what_to_name(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored); entry != fs::directory_iterator(); entry.increment(ignored)) {
    const fs::path file = entry->path().filename();
    if (file.extension() == ".gguf") return "the folder holds GGUF files: name one, " + printable(file.string());
  }
  return "name a .gguf file or a HuggingFace folder";
}

using WeightMap = std::unordered_map<std::string, std::string>;

/// Which shard holds which tensor.
Result<WeightMap> read_index(const fs::path& path) {
  CARAT_TRY(const std::string text, read_text_file(path, kSmallJsonLimit));
  CARAT_TRY(const nlohmann::json root, parse_json_object(text, path.string()));
  const JsonFields top(root, path.string());
  CARAT_TRY(const JsonFields weights, top.object("weight_map"));
  WeightMap shard_of;
  for (const auto& [name, shard] : weights.json().items()) {
    if (!shard.is_string()) return weights.refusal(name, "expected the name of a file");
    const auto& file = shard.get_ref<const std::string&>();
    if (fs::path(file).filename() != file || !file.ends_with(".safetensors")) {
      return weights.refusal(name, "expected a .safetensors file of this folder, found " + in_quotes(file));
    }
    shard_of[name] = file;
  }
  return shard_of;
}

/// Types that Carat has no values for are nothing to it in the towers of a composite model, which are left out.
Result<SafetensorsFile> open_file(const fs::path& path) {
  CARAT_TRY(SafetensorsFile file, SafetensorsFile::open(path));
  for (const UnreadableTensor& tensor : file.unreadable()) {
    if (!is_of_text_model(text_only_name(tensor.name))) continue;
    return refused(path.string() + ": " + printable(tensor.name) + ": type " + in_quotes(tensor.dtype) +
                   " is not supported");
  }
  return file;
}

std::vector<std::string> tensor_names(const SafetensorsFile& file) {
  std::vector<std::string> names;
  for (const StoredTensor& tensor : file.tensors()) names.push_back(tensor.name);
  for (const UnreadableTensor& tensor : file.unreadable()) names.push_back(tensor.name);
  return names;
}

std::set<std::string> shard_names(const WeightMap& shard_of) {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : shard_of) names.insert(shard);
  return names;
}

Result<std::vector<SafetensorsFile>> open_shards(const fs::path& folder, const fs::path& index) {
  CARAT_TRY(WeightMap shard_of, read_index(index));
  const std::set<std::string> names = shard_names(shard_of);
  for (const std::string& name : names) {
    if (is_there(folder / name)) continue;
    return refused(index.string() + ": names " + in_quotes(name) + ", which is missing; copy it into the folder");
  }
  std::vector<SafetensorsFile> files;
  for (const std::string& name : names) {
    CARAT_TRY(SafetensorsFile file, open_file(folder / name));
    for (const std::string& tensor : tensor_names(file)) {
      const auto entry = shard_of.find(tensor);
      if (entry == shard_of.end() || entry->second != name) {
        return refused((folder / name).string() + ": " + printable(tensor) + ": " + index.filename().string() +
                       " does not place it in this file; the shards are of different checkpoints");
      }
      shard_of.erase(entry);
    }
    files.push_back(std::move(file));
  }
  if (!shard_of.empty()) {
    const auto& [tensor, shard] = *shard_of.begin();
    return refused((folder / shard).string() + ": " + printable(tensor) + " is missing, which " +
                   index.filename().string() + " places there; copy the file again");
  }
  return files;
}

Result<std::vector<SafetensorsFile>> open_weights(const fs::path& folder) {
  const fs::path single = folder / kSingleFile;
  const fs::path index = folder / kIndexFile;
  if (!is_there(single) && is_there(index)) return open_shards(folder, index);
  CARAT_TRY(SafetensorsFile file, open_file(single));
  std::vector<SafetensorsFile> files;
  files.push_back(std::move(file));
  return files;
}

Result<Vocabulary> read_tokenizer(const fs::path& folder) {
  const fs::path path = folder_tokenizer_file(folder);
  if (path.filename() == kSentencePieceFile) {
    CARAT_TRY(const FileMap file, FileMap::open(path));
    return vocabulary_from_sentencepiece(file.bytes(), path.string());
  }
  CARAT_TRY(const std::string text, read_text_file(path, kLargestTokenizerJson));
  return vocabulary_from_tokenizer_json(text, path.string());
}

/// `found` as a template, unless it is too long for one.
Result<std::string> taken_template(const JsonFields& fields, const std::string& found) {
  if (found.size() <= kLongestChatTemplate) return found;
  return fields.refusal("chat_template", "has " + std::to_string(found.size()) + " bytes, expected at most " +
                                             std::to_string(kLongestChatTemplate));
}

/// The template called "default" of a list of {"name", "template"}; empty when there is none.
Result<std::string> default_template(const JsonFields& fields) {
  CARAT_TRY(const nlohmann::json* list, fields.array("chat_template"));
  std::string found;
  for (const nlohmann::json& entry : *list) {
    if (!entry.is_object()) {
      return fields.refusal("chat_template", std::string("expected objects, found ") + entry.type_name());
    }
    const JsonFields named(entry, fields.source(), "chat_template: ");
    CARAT_TRY(const std::string name, named.text("name"));
    CARAT_TRY(const std::string text, named.text("template"));
    if (name == "default") found = text;
  }
  return taken_template(fields, found);
}

/// Older checkpoints have the template in the tokenizer's configuration; empty when it has none.
Result<std::string> template_of_config(const fs::path& path) {
  CARAT_TRY(const std::string text, read_text_file(path, kSmallJsonLimit));
  CARAT_TRY(const nlohmann::json root, parse_json_object(text, path.string()));
  const JsonFields fields(root, path.string());
  if (fields.has("chat_template") && root["chat_template"].is_array()) return default_template(fields);
  CARAT_TRY(const std::string found, fields.text("chat_template", ""));
  return taken_template(fields, found);
}

Result<std::string> read_chat_template(const fs::path& folder) {
  if (const fs::path path = folder / "chat_template.jinja"; is_there(path))
    return read_text_file(path, kLongestChatTemplate);
  if (const fs::path path = folder / "tokenizer_config.json"; is_there(path)) return template_of_config(path);
  return std::string();
}

uint64_t bytes_of(const std::vector<StoredTensor>& tensors) {
  uint64_t bytes = 0;
  for (const StoredTensor& tensor : tensors) bytes += tensor.data.size();
  return bytes;
}

uint64_t bytes_of(const std::vector<NamedTensor>& tensors) {
  uint64_t bytes = 0;
  for (const NamedTensor& tensor : tensors) bytes += tensor.view.data.size() + tensor.view.scales.data.size();
  return bytes;
}

/// Types that Carat does not compute with are nothing to it in the towers of a composite model, which are left out.
Result<std::vector<NamedTensor>> tensors_of_floats(const std::vector<StoredTensor>& stored, const std::string& source) {
  std::vector<NamedTensor> tensors;
  for (const StoredTensor& tensor : stored) {
    std::string name = text_only_name(tensor.name);
    if (!is_of_text_model(name)) continue;
    CARAT_TRY(NamedTensor values, float_tensor(tensor, std::move(name), source));
    tensors.push_back(std::move(values));
  }
  return tensors;
}

Result<std::vector<NamedTensor>> tensors_of(const std::vector<StoredTensor>& stored,
                                            const QuantizationConfig& quantization, const ModelConfig& config,
                                            const std::string& source) {
  const bool has_head =
      std::ranges::any_of(stored, [](const StoredTensor& tensor) { return tensor.name.starts_with("lm_head."); });
  if (quantization.head_apart && !has_head) {
    return refused(source +
                   ": lm_head is missing, which config.json says is a tensor of its own (tie_word_embeddings)");
  }
  switch (quantization.method) {
    case QuantMethod::kNone:
      return tensors_of_floats(stored, source);
    case QuantMethod::kGemma:
      return tensors_of_gemma_quant(stored, quantization.json, config, source);
    case QuantMethod::kCompressedTensors:
      return tensors_of_compressed(stored, quantization.json, config, source);
    case QuantMethod::kMlx:
      return tensors_of_mlx(stored, quantization.json, config, source);
  }
  __builtin_unreachable();
}

Container container_of(QuantMethod method) {
  if (method == QuantMethod::kMlx) return Container::kMlx;
  return method == QuantMethod::kCompressedTensors ? Container::kCompressedTensors : Container::kSafetensors;
}

}  // namespace

fs::path folder_tokenizer_file(const fs::path& folder) {
  const fs::path json = folder / "tokenizer.json";
  const fs::path sentencepiece = folder / kSentencePieceFile;
  return !is_there(json) && is_there(sentencepiece) ? sentencepiece : json;
}

Result<std::vector<fs::path>> folder_weight_files(const fs::path& folder) {
  const fs::path index = folder / kIndexFile;
  if (is_there(folder / kSingleFile) || !is_there(index)) return std::vector{folder / kSingleFile};
  CARAT_TRY(const WeightMap shard_of, read_index(index));
  std::vector<fs::path> paths;
  for (const std::string& name : shard_names(shard_of)) paths.push_back(folder / name);
  return paths;
}

Result<Vocabulary> read_folder_vocabulary(const fs::path& folder) {
  CARAT_TRY(Vocabulary vocabulary, read_tokenizer(folder));
  if (const fs::path path = folder / "generation_config.json"; is_there(path)) {
    CARAT_TRY(const std::string generation, read_text_file(path, kSmallJsonLimit));
    CARAT_TRY_STATUS(read_generation_config(generation, path.string(), vocabulary));
  }
  CARAT_TRY(vocabulary.chat_template, read_chat_template(folder));
  return vocabulary;
}

Result<CheckpointContent> read_folder(const fs::path& folder) {
  CheckpointContent content;
  const fs::path config = folder / "config.json";
  if (!is_there(config)) return refused(config.string() + ": is missing; " + what_to_name(folder));
  CARAT_TRY(const std::string text, read_text_file(config, kSmallJsonLimit));
  CARAT_TRY(content.config, config_from_json(text, config.string()));
  CARAT_TRY(const QuantizationConfig quantization, quantization_from_json(text, config.string()));
  content.container = container_of(quantization.method);
  CARAT_TRY(content.vocabulary, read_folder_vocabulary(folder));
  CARAT_TRY(std::vector<SafetensorsFile> opened, open_weights(folder));
  auto files = std::make_shared<const std::vector<SafetensorsFile>>(std::move(opened));
  std::vector<StoredTensor> stored;
  for (const SafetensorsFile& file : *files) {
    stored.insert(stored.end(), file.tensors().begin(), file.tensors().end());
    content.files.push_back(&file.map());
  }
  CARAT_TRY(content.tensors, tensors_of(stored, quantization, content.config, folder.string()));
  content.bytes_left_out = bytes_of(stored) - bytes_of(content.tensors);
  content.storage = std::move(files);
  return content;
}

}  // namespace carat
