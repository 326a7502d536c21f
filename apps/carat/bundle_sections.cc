#include "bundle_sections.h"

#include "base/file_map.h"
#include "figures.h"
#include "formats/litertlm.h"
#include "formats/quote.h"

namespace carat {

Result<nlohmann::ordered_json> bundle_json(const std::filesystem::path& path) {
  const std::string source = path.string();
  CARAT_TRY(const FileMap file, FileMap::open(path));
  CARAT_TRY(const LitertlmContent content, parse_litertlm(file.bytes(), source));
  nlohmann::ordered_json sections = nlohmann::ordered_json::array();
  for (const LitertlmSection& section : content.sections) {
    sections.push_back({{"kind", litertlm_kind_name(section.kind)},
                        {"model_type", printable(section.model_type)},
                        {"begin", section.begin},
                        {"bytes", section.data.size()}});
  }
  return nlohmann::ordered_json({{"version", content.version}, {"sections", std::move(sections)}});
}

std::string bundle_table(const nlohmann::ordered_json& bundle) {
  std::string table = "\nLiteRT-LM " + bundle["version"].get<std::string>() + ", sections:\n";
  for (const auto& section : bundle["sections"]) {
    const auto kind = section["kind"].get<std::string>();
    const auto model = section["model_type"].get<std::string>();
    table += "  " + kind + (model.empty() ? "" : " " + model) + "  " + bytes_text(section["bytes"].get<uint64_t>()) +
             " at byte " + std::to_string(section["begin"].get<uint64_t>()) + "\n";
  }
  return table;
}

}  // namespace carat
