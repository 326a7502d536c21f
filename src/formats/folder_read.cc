#include <nlohmann/json.hpp>
#include <set>
#include <unordered_map>

#include "formats/folder.h"
#include "formats/json_fields.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "formats/safetensors.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

// Gemma's tokenizer.json has 32 MB, its chat template 20 kB.
constexpr size_t kTokenizerLimit = size_t{256} << 20;
constexpr size_t kTemplateLimit = size_t{1} << 20;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
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

Result<std::vector<SafetensorsFile>> open_shards(const fs::path& folder, const fs::path& index) {
  CARAT_TRY(WeightMap shard_of, read_index(index));
  std::set<std::string> names;
  for (const auto& [tensor, shard] : shard_of) names.insert(shard);
  std::vector<SafetensorsFile> files;
  for (const std::string& name : names) {
    CARAT_TRY(SafetensorsFile file, SafetensorsFile::open(folder / name));
    for (const NamedTensor& tensor : file.tensors()) {
      const auto entry = shard_of.find(tensor.name);
      if (entry == shard_of.end() || entry->second != name) {
        return refused((folder / name).string() + ": " + printable(tensor.name) + ": " + index.filename().string() +
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
  const fs::path single = folder / "model.safetensors";
  const fs::path index = folder / "model.safetensors.index.json";
  if (!is_there(single) && is_there(index)) return open_shards(folder, index);
  CARAT_TRY(SafetensorsFile file, SafetensorsFile::open(single));
  std::vector<SafetensorsFile> files;
  files.push_back(std::move(file));
  return files;
}

}  // namespace

Result<Vocabulary> read_folder_vocabulary(const fs::path& folder) {
  const fs::path tokenizer = folder / "tokenizer.json";
  CARAT_TRY(const std::string text, read_text_file(tokenizer, kTokenizerLimit));
  CARAT_TRY(Vocabulary vocabulary, vocabulary_from_tokenizer_json(text, tokenizer.string()));
  if (const fs::path path = folder / "generation_config.json"; is_there(path)) {
    CARAT_TRY(const std::string generation, read_text_file(path, kSmallJsonLimit));
    CARAT_TRY_STATUS(read_generation_config(generation, path.string(), vocabulary));
  }
  if (const fs::path path = folder / "chat_template.jinja"; is_there(path)) {
    CARAT_TRY(vocabulary.chat_template, read_text_file(path, kTemplateLimit));
  }
  return vocabulary;
}

Result<CheckpointContent> read_folder(const fs::path& folder) {
  CheckpointContent content;
  const fs::path config = folder / "config.json";
  CARAT_TRY(const std::string text, read_text_file(config, kSmallJsonLimit));
  CARAT_TRY(content.config, config_from_json(text, config.string()));
  CARAT_TRY(content.vocabulary, read_folder_vocabulary(folder));
  CARAT_TRY(std::vector<SafetensorsFile> opened, open_weights(folder));
  auto files = std::make_shared<const std::vector<SafetensorsFile>>(std::move(opened));
  for (const SafetensorsFile& file : *files) {
    for (const NamedTensor& tensor : file.tensors())
      content.tensors.push_back({text_only_name(tensor.name), tensor.view});
  }
  content.storage = std::move(files);
  return content;
}

}  // namespace carat
