#include "formats/litertlm_gemma4.h"

#include <algorithm>
#include <memory>

#include "formats/litertlm_tensors.h"

namespace carat {

Result<CheckpointContent> read_litertlm(const std::filesystem::path& path) {
  const std::string source = path.string();
  CARAT_TRY(FileMap opened, FileMap::open(path));
  const auto file = std::make_shared<const FileMap>(std::move(opened));
  CARAT_TRY(const LitertlmContent bundle, parse_litertlm(file->bytes(), source));
  CheckpointContent content;
  content.container = Container::kLitertlm;
  CARAT_TRY(content.tensors, tensors_of_litertlm(bundle, source));
  CARAT_TRY(content.config, config_of_litertlm(content.tensors, source));
  CARAT_TRY(content.vocabulary, vocabulary_of_litertlm(bundle, source));
  uint64_t bytes = 0;
  for (const LitertlmSection& section : bundle.sections) bytes += section.data.size();
  for (const NamedTensor& tensor : content.tensors) {
    const uint64_t used = tensor.view.data.size() + tensor.view.scales.data.size();
    bytes -= std::min(bytes, used);
  }
  content.bytes_left_out = bytes;
  content.storage = file;
  content.files = {file.get()};
  return content;
}

}  // namespace carat
