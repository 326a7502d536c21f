#include "provenance_view.h"

#include "formats/integrity.h"
#include "formats/quote.h"
#include "shown_progress.h"

namespace carat {
namespace {

constexpr size_t kShownDigits = 12;

std::string setting_text(const Setting& setting) {
  if (const auto* text = std::get_if<std::string>(&setting)) return *text;
  return std::visit([](const auto& value) { return nlohmann::json(value).dump(); }, setting);
}

std::string step_text(const ProvenanceStep& step) {
  std::string text = step.tool + " " + step.command;
  std::string between = ": ";
  const auto add = [&](const std::string& part) {
    text += between + part;
    between = ", ";
  };
  if (!step.scheme.empty()) add(step.scheme);
  for (const auto& [name, setting] : step.recipe) add(name + " " + setting_text(setting));
  between = step.sources.empty() ? "" : "; from ";
  for (const SourceFile& file : step.sources) add(file.name + " (" + file.sha256.substr(0, kShownDigits) + ")");
  return text;
}

}  // namespace

std::string provenance_lines(const Provenance& provenance, size_t indent) {
  std::string lines;
  for (size_t i = 0; i < provenance.size(); ++i) {
    lines += (i == 0 ? "" : "\n" + std::string(indent, ' ')) + std::to_string(i + 1) + ". " + step_text(provenance[i]);
  }
  return lines;
}

Result<nlohmann::ordered_json> check_files(const std::filesystem::path& path) {
  CARAT_TRY(const Integrity integrity, check_integrity(path, shown_progress("check", "bytes")));
  if (integrity.faults.empty())
    return nlohmann::ordered_json{{"recorded", integrity.recorded}, {"bytes", integrity.bytes}};
  std::error_code ignored;
  const bool is_folder = std::filesystem::is_directory(path, ignored);
  const std::filesystem::path folder = is_folder ? path : path.parent_path();
  std::string message;
  for (const IntegrityFault& fault : integrity.faults) {
    message += (message.empty() ? "" : "\n") + (folder / fault.file).string() + ": " + fault.text;
  }
  return refused(message);
}

}  // namespace carat
