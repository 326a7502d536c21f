#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

/// Where a checkpoint comes from, as it says itself. A GGUF file has the JSON below as a string in `carat.provenance`,
/// a folder has it in config.json under `carat_provenance`:
///
///     [{"tool": "carat 0.1.0", "command": "convert", "scheme": "q4_0", "recipe": {"container": "gguf"},
///       "sources": [{"name": "model.safetensors", "bytes": 123, "sha256": "..."}]}, ...]

namespace carat {

/// A file that a step has read.
struct SourceFile {
  std::string name;  ///< without its folder
  uint64_t bytes = 0;
  std::string sha256;  ///< of all its bytes, as sha256sum prints it

  bool operator==(const SourceFile&) const = default;
};

using Setting = std::variant<bool, int64_t, uint64_t, double, std::string>;

/// One program run that made a checkpoint.
struct ProvenanceStep {
  std::string tool;                       ///< "carat 0.1.0"
  std::string command;                    ///< "convert", "train", "new"
  std::string scheme;                     ///< that the weights were put on; empty when it does not say
  std::map<std::string, Setting> recipe;  ///< the settings that decide the result, by name; numbers are finite
  std::vector<SourceFile> sources;        ///< the files with the weights that it started from, and the texts
};

/// The steps that led to a checkpoint, oldest first.
using Provenance = std::vector<ProvenanceStep>;

inline constexpr size_t kMostSteps = 32;
inline constexpr size_t kMostSettings = 32;  ///< of a step
inline constexpr size_t kMostSources = 64;   ///< of a step
inline constexpr size_t kLongestText = 400;  ///< of a name or a setting, in printable characters of ASCII
inline constexpr size_t kLargestProvenance = size_t{64} << 10;  ///< as JSON without spaces

/// Appends `step` and keeps the limits above, whatever files are called: names and settings are made printable
/// (`printable`), of more than `kMostSources` files the recipe says how many are left out (`sources_left_out`), and the
/// oldest steps of a long history are dropped. There are fewer than `kMostSettings` settings.
void add_step(Provenance& provenance, ProvenanceStep step);

nlohmann::ordered_json provenance_to_json(const Provenance& provenance);

/// Refuses, by name, what is not of that form or beyond the limits. Members that it does not know are dropped. `source`
/// names the file in messages, `key` the entry.
Result<Provenance> provenance_from_json(const nlohmann::json& json, const std::string& source, const std::string& key);

/// The same of a JSON text.
Result<Provenance> provenance_from_text(std::string_view text, const std::string& source, const std::string& key);

}  // namespace carat
