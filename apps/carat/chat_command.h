#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace carat {

enum class ChatVerb : uint8_t {
  kHelp,
  kClear,
  kSystem,
  kThink,
  kThoughts,
  kStats,
  kSave,
  kLoad,
  kRegenerate,
  kUndo,
  kExit
};

/// A line of a chat that is meant for the program, not for the model.
struct ChatCommand {
  ChatVerb verb;
  std::string argument;  ///< without white space at its ends; empty when there is none
};

/// Whether a line is a command: a slash, then a word of letters. "/etc/hosts" and "/* a comment" are messages, and so
/// is what has more than one line.
bool is_chat_command(std::string_view line);

/// `line` is one that `is_chat_command` accepts, in UTF-8. Wrong usage: an unknown name, with the nearest one when
/// there is one that is near; an argument that is missing or that the command does not take.
Result<ChatCommand> parse_chat_command(std::string_view line);

/// What /help shows: a line for each command.
std::string chat_command_help();

}  // namespace carat
