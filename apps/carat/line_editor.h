#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "interrupt.h"

namespace carat {

/// What became of a line that was asked for.
struct TypedLine {
  enum class Kind : uint8_t { kLine, kInterrupted, kEnd };
  Kind kind = Kind::kEnd;
  std::string text;  ///< without the newline at its end; pasted text can have newlines inside. UTF-8.
};

/// Reads lines from the terminal on standard input, with editing keys and a history (libedit). Text that is pasted is
/// one line with newlines in it, and Alt-Enter writes one; Enter ends the line. The user's ~/.editrc counts.
///
/// While it waits, Ctrl-C, Ctrl-Z and a new window size are taken care of; signals that the program handles itself
/// reach it too. One at a time, for the terminal is one.
class LineEditor {
 public:
  /// `history_file` holds the messages of earlier chats; one that is not there or cannot be read counts as empty.
  /// Empty: nothing is kept. Calls `use_utf8_locale`. Fails when the terminal cannot be used.
  static Result<LineEditor> create(std::filesystem::path history_file, ChatSignals signals);

  LineEditor(LineEditor&&) noexcept;
  ~LineEditor();

  /// Shows `prompt` and waits for a line. kInterrupted: a signal came, and `text` is what had been typed; kEnd: Ctrl-D
  /// on an empty line, or there is no input any more.
  TypedLine read(const std::string& prompt);

  /// Adds a message to the history and writes the file, as a whole, for its owner only. Nothing happens when it cannot
  /// be written. The oldest go when there are too many; one that is very long is not kept.
  void remember(const std::string& message);

 private:
  struct State;
  explicit LineEditor(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

/// $XDG_STATE_HOME/carat/history, or ~/.local/state/carat/history; empty when there is no home.
std::filesystem::path chat_history_path();

}  // namespace carat
