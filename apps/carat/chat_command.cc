#include "chat_command.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "base/utf8.h"

namespace carat {
namespace {

enum class Argument : uint8_t { kNone, kOptional, kNeeded };

struct Entry {
  std::string_view name;
  ChatVerb verb;
  Argument argument;
  std::string_view shape;
  std::string_view meaning;
};

constexpr std::array kEntries = {
    Entry{"help", ChatVerb::kHelp, Argument::kNone, "", "this list"},
    Entry{"clear", ChatVerb::kClear, Argument::kNone, "", "begin a new conversation; the system text stays"},
    Entry{"system", ChatVerb::kSystem, Argument::kOptional, " TEXT",
          "what a conversation begins with; none without TEXT"},
    Entry{"think", ChatVerb::kThink, Argument::kNeeded, " on|off|fold|unfold",
          "think before answering or not; show finished thoughts as one line or whole"},
    Entry{"thoughts", ChatVerb::kThoughts, Argument::kNone, "", "show the last thoughts again"},
    Entry{"stats", ChatVerb::kStats, Argument::kNone, "", "the model, the memory, the tokens so far"},
    Entry{"save", ChatVerb::kSave, Argument::kNeeded, " FILE", "write the conversation to a JSON file"},
    Entry{"load", ChatVerb::kLoad, Argument::kNeeded, " FILE", "go on with a conversation that was saved"},
    Entry{"regenerate", ChatVerb::kRegenerate, Argument::kNone, "", "answer the last message once more"},
    Entry{"undo", ChatVerb::kUndo, Argument::kNone, "", "take back the last message and its answer"},
    Entry{"exit", ChatVerb::kExit, Argument::kNone, "", "leave; Ctrl-D does the same"},
};
constexpr size_t kMeaningColumn = 29;
constexpr size_t kNear = 2;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// The letters between the slash and the white space behind them.
std::string_view name_of(std::string_view line) {
  const std::string_view rest = line.substr(1);
  return rest.substr(0, static_cast<size_t>(std::find_if_not(rest.begin(), rest.end(), is_letter) - rest.begin()));
}

/// How many letters have to be put in, left out or changed to make one word of the other.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

Error unknown_command(std::string_view name) {
  const auto nearest = std::min_element(kEntries.begin(), kEntries.end(), [&](const Entry& a, const Entry& b) {
    return distance(name, a.name) < distance(name, b.name);
  });
  std::string message = "there is no command /" + std::string(name);
  const bool near = nearest->name.starts_with(name) || distance(name, nearest->name) <= kNear;
  message += near ? "; is it /" + std::string(nearest->name) + "?" : "; /help lists those that there are";
  return wrong_usage(std::move(message));
}

}  // namespace

bool is_chat_command(std::string_view line) {
  if (!line.starts_with('/') || line.find('\n') != std::string_view::npos) return false;
  const size_t end = 1 + name_of(line).size();
  return end > 1 && (end == line.size() || line[end] == ' ' || line[end] == '\t');
}

Result<ChatCommand> parse_chat_command(std::string_view line) {
  const std::string_view name = name_of(line);
  const auto* const entry =
      std::find_if(kEntries.begin(), kEntries.end(), [&](const Entry& known) { return known.name == name; });
  if (entry == kEntries.end()) return unknown_command(name);
  const std::string argument(trim_white_space(line.substr(1 + name.size())));
  const std::string usage = "/" + std::string(entry->name) + std::string(entry->shape);
  if (argument.empty() && entry->argument == Argument::kNeeded) return wrong_usage("something is missing: " + usage);
  if (!argument.empty() && entry->argument == Argument::kNone) return wrong_usage(usage + " takes nothing behind it");
  return ChatCommand{entry->verb, argument};
}

std::string chat_command_help() {
  std::string text;
  for (const Entry& entry : kEntries) {
    std::string line = "/" + std::string(entry.name) + std::string(entry.shape);
    line.resize(std::max(line.size() + 1, kMeaningColumn), ' ');
    text += line + std::string(entry.meaning) + "\n";
  }
  return text;
}

}  // namespace carat
