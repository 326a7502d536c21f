#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "interrupt.h"
#include "line_editor.h"
#include "message_lines.h"

namespace carat {

/// Where a chat's messages come from: a person at a terminal, or standard input with a message in each line.
class MessageReader {
 public:
  /// Standard input is taken line by line when there is no `editor`.
  MessageReader(std::optional<LineEditor> editor, ChatSignals signals)
      : editor_(std::move(editor)), signals_(signals) {}

  /// Whether a person types.
  bool interactive() const { return editor_.has_value(); }

  /// The next message, not blank, in valid UTF-8; nothing at the end of the input. An interrupt takes back what was
  /// being typed; without a terminal it is an error, and so is the program's end everywhere.
  Result<std::optional<TypedMessage>> read();

  /// Asks the person for one line; nothing when there is no answer. Needs a person.
  std::optional<std::string> ask(const std::string& prompt);

 private:
  enum class Step : uint8_t { kAgain, kMessage, kEnd };

  Result<Step> read_line();
  Step read_typed_line();

  std::optional<LineEditor> editor_;
  ChatSignals signals_;
  MessageLines lines_;
  TypedMessage message_;
};

}  // namespace carat
