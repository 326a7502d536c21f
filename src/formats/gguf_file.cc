#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <unordered_map>

#include "formats/gguf.h"
#include "formats/gguf_fields.h"
#include "formats/quote.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostParts = 1024;
constexpr int64_t kMostTensors = 1 << 16;

/// What a part says of itself.
struct Split {
  int64_t index = 0;  ///< counts from 0
  int64_t parts = 1;
  int64_t tensors = 0;  ///< of all parts
};

Result<Split> read_split(const std::vector<GgufEntry>& entries, const std::string& source) {
  const GgufFields fields(entries, source);
  Split split;
  CARAT_TRY(split.parts, fields.integer("split.count", 1));
  if (split.parts == 0) split.parts = 1;  // of a model that was merged again
  if (split.parts == 1) return split;
  if (split.parts < 0 || split.parts > kMostParts) {
    return fields.refusal(
        "split.count", "expected 1 to " + std::to_string(kMostParts) + " parts, found " + std::to_string(split.parts));
  }
  CARAT_TRY(split.index, fields.integer("split.no"));
  if (split.index < 0 || split.index >= split.parts) {
    return fields.refusal(
        "split.no", "expected 0 to " + std::to_string(split.parts - 1) + ", found " + std::to_string(split.index));
  }
  CARAT_TRY(split.tensors, fields.integer("split.tensors.count"));
  if (split.tensors < 0 || split.tensors > kMostTensors) {
    return fields.refusal("split.tensors.count", "expected at most " + std::to_string(kMostTensors) + ", found " +
                                                     std::to_string(split.tensors));
  }
  return split;
}

struct Part {
  FileMap map;
  GgufContent content;
  Split split;
};

Result<Part> open_part(const fs::path& path) {
  CARAT_TRY(FileMap map, FileMap::open(path));
  CARAT_TRY(GgufContent content, parse_gguf(map.bytes(), path.string()));
  CARAT_TRY(const Split split, read_split(content.entries, path.string()));
  return Part{std::move(map), std::move(content), split};
}

std::string place_text(const Split& split) {
  return "part " + std::to_string(split.index + 1) + " of " + std::to_string(split.parts);
}

/// "-00002-of-00003.gguf", what the name of a part ends with.
std::string name_ending(const Split& split) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "-%05lld-of-%05lld.gguf", static_cast<long long>(split.index + 1),
                static_cast<long long>(split.parts));
  return text.data();
}

/// The paths of all parts, from that of one.
Result<std::vector<fs::path>> part_paths(const fs::path& path, Split split) {
  const std::string name = path.filename().string();
  const std::string ending = name_ending(split);
  if (!name.ends_with(ending)) {
    return refused(path.string() + ": is " + place_text(split) + " of a split model, whose name ends with " + ending +
                   "; give it the name that it had");
  }
  const std::string stem = name.substr(0, name.size() - ending.size());
  std::vector<fs::path> paths;
  for (split.index = 0; split.index < split.parts; ++split.index) {
    paths.push_back(path.parent_path() / (stem + name_ending(split)));
  }
  return paths;
}

Status check_part(const Split& found, const Split& expected, const std::string& source) {
  if (found.parts != expected.parts || found.index != expected.index) {
    return refused(source + ": holds " + place_text(found) + ", expected " + place_text(expected) +
                   "; copy the file again");
  }
  if (found.tensors != expected.tensors) {
    return refused(source + ": split.tensors.count: expected " + std::to_string(expected.tensors) +
                   " as in the part that was opened, found " + std::to_string(found.tensors) +
                   "; the parts are of different models");
  }
  return success();
}

/// Each name once, and as many as the parts say.
Status check_tensors(const std::vector<Part>& parts, const std::vector<fs::path>& paths) {
  std::unordered_map<std::string_view, size_t> part_of;
  for (size_t part = 0; part < parts.size(); ++part) {
    for (const NamedTensor& tensor : parts[part].content.tensors) {
      const auto [earlier, is_new] = part_of.emplace(tensor.name, part);
      if (is_new) continue;
      return refused(paths[part].string() + ": " + printable(tensor.name) + " is also in " +
                     paths[earlier->second].filename().string() + "; the parts are of different models");
    }
  }
  const int64_t expected = parts.front().split.tensors;
  if (part_of.size() == static_cast<size_t>(expected)) return success();
  return refused(paths.front().string() + ": split.tensors.count: expected " + std::to_string(expected) +
                 " tensors in all parts, found " + std::to_string(part_of.size()) +
                 "; the parts are of different models");
}

Status check_is_there(const fs::path& path, const Split& expected) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return success();
  return refused(path.string() + ": is missing; it is " + place_text(expected) +
                 " of a split model, copy it into the folder of the others");
}

/// All parts of the model of which `opened` is one.
Result<std::vector<Part>> open_parts(const fs::path& path, Part opened) {
  Split expected = opened.split;
  const int64_t own = opened.split.index;
  CARAT_TRY(const std::vector<fs::path> paths, part_paths(path, expected));
  std::vector<Part> parts;
  for (expected.index = 0; expected.index < expected.parts; ++expected.index) {
    const fs::path& next = paths[parts.size()];
    if (expected.index == own) {
      parts.push_back(std::move(opened));
      continue;
    }
    CARAT_TRY_STATUS(check_is_there(next, expected));
    CARAT_TRY(Part part, open_part(next));
    CARAT_TRY_STATUS(check_part(part.split, expected, next.string()));
    parts.push_back(std::move(part));
  }
  CARAT_TRY_STATUS(check_tensors(parts, paths));
  return parts;
}

}  // namespace

Result<std::vector<fs::path>> gguf_parts(const fs::path& path) {
  CARAT_TRY(const FileMap map, FileMap::open(path));
  CARAT_TRY(const GgufPreview preview, preview_gguf(map.bytes(), path.string()));
  CARAT_TRY(const Split split, read_split(preview.entries, path.string()));
  return split.parts == 1 ? std::vector{path} : part_paths(path, split);
}

Result<GgufFile> GgufFile::open(const fs::path& path) {
  CARAT_TRY(Part opened, open_part(path));
  std::vector<Part> parts;
  if (opened.split.parts == 1) {
    parts.push_back(std::move(opened));
  } else {
    CARAT_TRY(parts, open_parts(path, std::move(opened)));
  }
  GgufFile file;
  file.entries_ = std::move(parts.front().content.entries);
  for (Part& part : parts) {
    std::ranges::move(part.content.tensors, std::back_inserter(file.tensors_));
    file.maps_.push_back(std::move(part.map));
  }
  return file;
}

}  // namespace carat
