#include "formats/integrity.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/sha256.h"
#include "formats/file_hasher.h"
#include "formats/folder.h"
#include "formats/gguf.h"
#include "formats/gguf_gemma4.h"
#include "formats/json_fields.h"
#include "formats/litertlm.h"
#include "formats/quote.h"
#include "formats/safetensors.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

// A folder of ours has a handful.
constexpr size_t kMostFiles = 1024;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string cut_short(uint64_t found, uint64_t expected) {
  return "is cut short: " + std::to_string(found) + " of " + std::to_string(expected) +
         " bytes are there; download it again";
}

std::string too_long(uint64_t found, uint64_t expected) {
  return "was altered: it has " + std::to_string(found) + " bytes, expected " + std::to_string(expected) +
         "; download it again";
}

std::string altered(const std::string& found, const std::string& expected) {
  return "was altered: its SHA-256 is " + found + ", expected " + expected + "; download it again";
}

/// What an error says of the file, without its name.
std::string without_name(const Error& error, const std::string& name) {
  const std::string head = name + ": ";
  return error.message.starts_with(head) ? error.message.substr(head.size()) : error.message;
}

/// Who splits a file copies its metadata, and with it a digest that is not that of a part.
bool records_digest(const GgufPreview& preview) {
  const auto has = [&](std::string_view key) {
    return std::ranges::find(preview.entries, key, &GgufEntry::key) != preview.entries.end();
  };
  return has(kGgufDigestKey) && !has("split.count");
}

/// Collects what is found about the files of one checkpoint.
class Check {
 public:
  explicit Check(const DigestProgress& progress) : progress_(progress) {}

  /// One of one part or several.
  Result<Integrity> gguf(const fs::path& path) {
    const Result<std::vector<fs::path>> parts = gguf_parts(path);
    if (!parts.ok()) return header_fault(path, parts.error());
    for (const fs::path& part : *parts) CARAT_TRY_STATUS(gguf_part(part));
    return result_;
  }

  Result<Integrity> bundle(const fs::path& path) {
    CARAT_TRY(const FileMap file, FileMap::open(path));
    const auto content = parse_litertlm(file.bytes(), path.string());
    return content.ok() ? result_ : header_fault(path, content.error());
  }

  Result<Integrity> folder(const fs::path& folder) {
    const fs::path path = folder / "config.json";
    if (!is_there(path)) {
      return refused(path.string() + ": is missing; name a HuggingFace folder, a .gguf file or a .litertlm bundle");
    }
    CARAT_TRY(const std::string text, read_text_file(path, kSmallJsonLimit));
    const auto config = parse_json_object(text, path.string());
    if (!config.ok()) return header_fault(path, config.error());
    const JsonFields fields(*config, path.string());
    if (!fields.has(kFolderDigestsKey)) return folder_without_digests(folder);
    const auto expected = recorded_files(fields);
    if (!expected.ok()) return header_fault(path, expected.error());
    result_.recorded = true;
    CARAT_TRY_STATUS(compare_files(folder, *expected));
    name_weights_without_digest(folder, *expected);
    return result_;
  }

 private:
  void add_fault(const fs::path& path, std::string text) {
    result_.faults.push_back({printable(path.filename().string()), std::move(text)});
  }

  Result<Integrity> header_fault(const fs::path& path, const Error& error) {
    if (error.kind != ErrorKind::kRefused || !is_there(path)) return error;
    add_fault(path, without_name(error, path.string()));
    return result_;
  }

  Status gguf_part(const fs::path& path) {
    if (!is_there(path)) {
      add_fault(path, "is missing; copy it into the folder of the other parts");
      return success();
    }
    CARAT_TRY(const FileMap file, FileMap::open(path));
    const auto preview = preview_gguf(file.bytes(), path.string());
    if (!preview.ok()) {
      add_fault(path, without_name(preview.error(), path.string()));
      return success();
    }
    const bool recorded = records_digest(*preview);
    result_.recorded = result_.recorded || recorded;
    const uint64_t size = file.bytes().size();
    const uint64_t expected = recorded ? padded(preview->bytes) : preview->bytes;
    if (size < expected) {
      add_fault(path, cut_short(size, expected));
    } else if (recorded && size > expected) {
      add_fault(path, too_long(size, expected));
    } else if (recorded) {
      return compare_gguf_digest(path, file, *preview);
    }
    return success();
  }

  static uint64_t padded(uint64_t bytes) { return (bytes + kGgufAlignment - 1) / kGgufAlignment * kGgufAlignment; }

  Status compare_gguf_digest(const fs::path& path, const FileMap& file, const GgufPreview& preview) {
    const auto entry = std::ranges::find(preview.entries, kGgufDigestKey, &GgufEntry::key);
    const auto* expected = std::get_if<std::string_view>(&entry->value.value);
    if (expected == nullptr || !is_sha256(*expected)) {
      add_fault(path, std::string(kGgufDigestKey) + ": expected a string of 64 hexadecimal digits, found " +
                          (expected == nullptr ? "another type" : in_quotes(*expected)));
      return success();
    }
    const auto digits_begin = static_cast<uint64_t>(as_bytes(*expected).data() - file.bytes().data());
    FileHasher hasher(file.bytes().size(), progress_);
    CARAT_TRY(const std::string found, hasher.digest(file, digits_begin));
    result_.bytes = hasher.done();
    if (found != *expected) add_fault(path, altered(found, std::string(*expected)));
    return success();
  }

  Result<std::vector<SourceFile>> recorded_files(const JsonFields& config) const {
    CARAT_TRY(const JsonFields files, config.object(kFolderDigestsKey));
    if (files.json().size() > kMostFiles) {
      return config.refusal(kFolderDigestsKey, std::to_string(files.json().size()) + " files, expected at most " +
                                                   std::to_string(kMostFiles));
    }
    std::vector<SourceFile> expected;
    for (const auto& [name, value] : files.json().items()) {
      if (fs::path(name).filename() != name || name.empty() || name == "." || name == "..") {
        return files.refusal(name, "expected the name of a file of this folder");
      }
      CARAT_TRY(const JsonFields entry, files.object(name.c_str()));
      CARAT_TRY(const int64_t bytes, entry.integer("bytes"));
      CARAT_TRY(std::string digest, entry.text("sha256"));
      if (bytes < 0 || !is_sha256(digest)) {
        return files.refusal(name, "expected bytes of 0 or more and 64 hexadecimal digits in sha256");
      }
      expected.push_back({name, static_cast<uint64_t>(bytes), std::move(digest)});
    }
    return expected;
  }

  Status compare_files(const fs::path& folder, const std::vector<SourceFile>& expected) {
    uint64_t total = 0;
    for (const SourceFile& file : expected) total += file.bytes;
    FileHasher hasher(total, progress_);
    for (const SourceFile& file : expected) CARAT_TRY_STATUS(compare_file(folder / file.name, file, hasher));
    result_.bytes = hasher.done();
    return success();
  }

  void name_weights_without_digest(const fs::path& folder, const std::vector<SourceFile>& expected) {
    const auto paths = folder_weight_files(folder);
    if (!paths.ok()) return;
    for (const fs::path& path : *paths) {
      const bool known = std::ranges::find(expected, path.filename().string(), &SourceFile::name) != expected.end();
      if (!known)
        add_fault(path, "is not among the files whose digests config.json records; download the folder again");
    }
  }

  Status compare_file(const fs::path& path, const SourceFile& expected, FileHasher& hasher) {
    if (!is_there(path)) {
      add_fault(path, "is missing; download it");
      return success();
    }
    CARAT_TRY(const FileMap file, FileMap::open(path));
    const uint64_t size = file.bytes().size();
    if (size < expected.bytes) {
      add_fault(path, cut_short(size, expected.bytes));
    } else if (size > expected.bytes) {
      add_fault(path, too_long(size, expected.bytes));
    } else {
      CARAT_TRY(const std::string found, hasher.digest(file));
      if (found != expected.sha256) add_fault(path, altered(found, expected.sha256));
    }
    return success();
  }

  /// Only the headers of the safetensors say something of their files.
  Result<Integrity> folder_without_digests(const fs::path& folder) {
    const auto paths = folder_weight_files(folder);
    if (!paths.ok()) return header_fault(folder / "model.safetensors.index.json", paths.error());
    for (const fs::path& path : *paths) {
      if (!is_there(path)) {
        add_fault(path, "is missing; download it");
        continue;
      }
      CARAT_TRY(const FileMap file, FileMap::open(path));
      const auto expected = whole_safetensors_size(file.bytes(), path.string());
      const uint64_t size = file.bytes().size();
      if (!expected.ok()) {
        add_fault(path, without_name(expected.error(), path.string()));
      } else if (size < *expected) {
        add_fault(path, cut_short(size, *expected));
      }
    }
    return result_;
  }

  DigestProgress progress_;
  Integrity result_;
};

}  // namespace

Result<bool> records_digests(const fs::path& path) {
  std::error_code ignored;
  if (is_litertlm_path(path)) return false;
  if (fs::is_directory(path, ignored)) {
    CARAT_TRY(const std::string text, read_text_file(path / "config.json", kSmallJsonLimit));
    CARAT_TRY(const nlohmann::json config, parse_json_object(text, (path / "config.json").string()));
    return config.contains(kFolderDigestsKey);
  }
  CARAT_TRY(const FileMap file, FileMap::open(path));
  CARAT_TRY(const GgufPreview preview, preview_gguf(file.bytes(), path.string()));
  return records_digest(preview);
}

Result<Integrity> check_integrity(const fs::path& path, const DigestProgress& progress) {
  if (!is_there(path)) return refused(path.string() + ": there is no such file or folder");
  std::error_code ignored;
  Check check(progress);
  if (fs::is_directory(path, ignored)) return check.folder(path);
  return is_litertlm_path(path) ? check.bundle(path) : check.gguf(path);
}

}  // namespace carat
