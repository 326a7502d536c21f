#include "formats/source_files.h"

#include "base/file_map.h"
#include "formats/file_hasher.h"
#include "formats/folder.h"
#include "formats/gguf.h"
#include "formats/litertlm.h"

namespace carat {

namespace fs = std::filesystem;

Result<std::vector<SourceFile>> digest_files(const std::vector<fs::path>& paths, const DigestProgress& progress) {
  std::vector<FileMap> files;
  uint64_t total = 0;
  for (const fs::path& path : paths) {
    CARAT_TRY(FileMap file, FileMap::open(path));
    total += file.bytes().size();
    files.push_back(std::move(file));
  }
  FileHasher hasher(total, progress);
  std::vector<SourceFile> digested;
  for (size_t i = 0; i < paths.size(); ++i) {
    CARAT_TRY(std::string digest, hasher.digest(files[i]));
    digested.push_back({paths[i].filename().string(), files[i].bytes().size(), std::move(digest)});
  }
  return digested;
}

Result<std::vector<fs::path>> weight_files(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return folder_weight_files(path);
  if (is_litertlm_path(path)) return std::vector{path};
  return gguf_parts(path);
}

}  // namespace carat
