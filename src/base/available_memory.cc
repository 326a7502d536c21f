#include "base/available_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace carat {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

/// Where one version of control groups says what it counts.
struct GroupFiles {
  std::string_view folder;  ///< below the root
  const char* limit;
  const char* usage;
  const char* idle_cache;  ///< key in memory.stat
};

constexpr GroupFiles kVersion1 = {"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file"};
constexpr GroupFiles kVersion2 = {"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

/// The first number of a file; nothing where there is no file or it says "max".
std::optional<uint64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// The number after `key` in a file of keys and numbers; 0 where there is none.
uint64_t number_of_key(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    uint64_t number = 0;
    if (word == key && file >> number) return number;
  }
  return 0;
}

uint64_t left_in_group(const fs::path& group, const GroupFiles& files) {
  const std::optional<uint64_t> limit = read_number(group / files.limit);
  const std::optional<uint64_t> usage = read_number(group / files.usage);
  if (!limit || !usage) return kNoLimit;
  const uint64_t used = *usage - std::min(*usage, number_of_key(group / "memory.stat", files.idle_cache));
  return *limit - std::min(*limit, used);
}

/// What the group and all that it lies in leave. Inside a container the path can be that of the machine outside: what
/// is not there is passed over, and the container's own limit stands in the topmost folder.
uint64_t left_in_groups(const fs::path& root, const GroupFiles& files, fs::path path) {
  const fs::path top = root / files.folder;
  uint64_t left = left_in_group(top, files);
  for (path = path.relative_path(); !path.empty(); path = path.parent_path()) {
    left = std::min(left, left_in_group(top / path, files));
  }
  return left;
}

/// A line is NUMBER:CONTROLLERS:PATH; version 2 has the number 0 and no controllers.
uint64_t left_of_line(const fs::path& root, std::string_view line) {
  const size_t first = line.find(':');
  const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
  if (second == std::string_view::npos) return kNoLimit;
  const std::string controllers = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
  const fs::path path = line.substr(second + 1);
  if (controllers == ",,") return left_in_groups(root, kVersion2, path);
  if (controllers.find(",memory,") != std::string::npos) return left_in_groups(root, kVersion1, path);
  return kNoLimit;
}

}  // namespace

uint64_t available_memory(const fs::path& root) {
  uint64_t left = number_of_key(root / "proc/meminfo", "MemAvailable:") * 1024;
  if (left == 0) left = kNoLimit;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) left = std::min(left, left_of_line(root, line));
  return left == kNoLimit ? 0 : left;
}

}  // namespace carat
