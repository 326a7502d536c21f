#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "answer_progress.h"
#include "terminal.h"
#include "text/chat_answer.h"
#include "wrapped_text.h"

namespace carat {

/// What the place where an answer appears can do, and what the user wants to see there.
struct ViewOptions {
  bool terminal = false;                         ///< cursor movements are understood; otherwise thoughts are not shown
  bool styles = false;                           ///< so is dimmed text
  bool fold = true;                              ///< a finished thought becomes one line
  std::function<TerminalSize()> size = nullptr;  ///< of the terminal, now
};

/// What to write, and where to.
struct ViewText {
  std::string output;  ///< the answer; on a terminal everything
  std::string notice;  ///< what is no part of the answer, where there is no terminal: for standard error
};

/// Turns the parts of one answer into what is written. On a terminal a thought is dimmed, and goes away when it is
/// finished, if it is all on the screen still; one line stays:
///
///     thought for 3.2 s, 120 tokens (/thoughts shows them)
///
/// Nothing that the model writes can command the terminal.
class AnswerView {
 public:
  explicit AnswerView(ViewOptions options) : options_(std::move(options)) {}

  /// `event` is the next part of the answer, which has come as far as `progress`.
  ViewText show(const AnswerEvent& event, const AnswerProgress& progress);

  /// The end of the answer, with a newline.
  ViewText end(const AnswerProgress& progress);

 private:
  void show_thought(std::string_view text, ViewText& out);
  void end_thought(const AnswerProgress& progress, ViewText& out);
  bool can_fold() const;
  void show_text(std::string_view text, ViewText& out);
  void show_line(const std::string& line, ViewText& out);

  struct Thought {
    AnswerProgress begin;
    TerminalSize size;
    WrappedText rows;
  };

  ViewOptions options_;
  AnswerProgress last_;  // when the part before this one came
  std::optional<Thought> thought_;
  bool within_line_ = false;  // the answer's last line has no newline yet
};

/// One line about a call: the tool's name and its arguments, as JSON.
std::string call_text(const ToolCall& call);

/// `text` dimmed, where styles are understood.
std::string dimmed(const std::string& text, const ViewOptions& options);

/// A whole thought, dimmed where that is wanted, with a newline at its end.
std::string thought_text(const std::string& thought, const ViewOptions& options);

}  // namespace carat
