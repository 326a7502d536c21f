#include "answer_view.h"

#include <algorithm>

#include "base/utf8.h"
#include "figures.h"

namespace carat {
namespace {

constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";

// One column stays free: not all terminals draw a character in as many columns as the system says.
int text_columns(const TerminalSize& size) { return size.columns - 1; }

bool is_blank(std::string_view text) { return trim_white_space(text).empty(); }

/// Moves up, to the first column, and clears from there to the end of the screen.
std::string take_away_rows(int rows) { return "\033[" + std::to_string(rows) + "A\r\033[J"; }

std::string seconds_text(double seconds) { return seconds < 60 ? rate_text(seconds) + " s" : duration_text(seconds); }

}  // namespace

ViewText AnswerView::show(const AnswerEvent& event, const AnswerProgress& progress) {
  ViewText out;
  if (event.kind == AnswerEvent::Kind::kThought) {
    show_thought(event.text, out);
  } else {
    end_thought(last_, out);
  }
  if (event.kind == AnswerEvent::Kind::kText) show_text(event.text, out);
  if (event.kind == AnswerEvent::Kind::kCall) show_line("calls " + call_text(*event.call), out);
  if (event.kind == AnswerEvent::Kind::kMalformedCall) {
    show_line("calls a tool in a way that cannot be read: " + event.error, out);
  }
  last_ = progress;
  return out;
}

ViewText AnswerView::end(const AnswerProgress& progress) {
  ViewText out;
  end_thought(progress, out);
  if (within_line_ || !options_.terminal) out.output += "\n";
  within_line_ = false;
  return out;
}

void AnswerView::show_thought(std::string_view text, ViewText& out) {
  if (!thought_) {
    if (is_blank(text)) return;
    const TerminalSize size = options_.terminal ? options_.size() : TerminalSize{};
    thought_.emplace(Thought{.begin = last_, .size = size, .rows = WrappedText(text_columns(size))});
    if (options_.terminal && within_line_) out.output += "\n";
    if (options_.terminal) out.output += dimmed("thinking", options_) + "\n";
  }
  if (options_.terminal) out.output += dimmed(thought_->rows.append(without_controls(text)), options_);
}

void AnswerView::end_thought(const AnswerProgress& progress, ViewText& out) {
  if (!thought_) return;
  const int64_t tokens = progress.tokens - thought_->begin.tokens;
  std::string line = "thought for " + seconds_text(progress.seconds - thought_->begin.seconds) + ", " +
                     std::to_string(tokens) + (tokens == 1 ? " token" : " tokens");
  if (options_.terminal) {
    out.output += dimmed(thought_->rows.end(), options_);
    if (can_fold()) {
      out.output += take_away_rows(thought_->rows.rows() + 1);
      line += " (/thoughts shows them)";
    }
  }
  thought_.reset();
  within_line_ = false;
  show_line(line, out);
}

bool AnswerView::can_fold() const {
  if (!options_.fold) return false;
  const TerminalSize now = options_.size();
  // Rows that have left the screen stay where they are; in another width they are other rows.
  return now.columns == thought_->size.columns && thought_->rows.rows() + 1 < std::min(now.rows, thought_->size.rows);
}

void AnswerView::show_text(std::string_view text, ViewText& out) {
  if (text.empty()) return;
  out.output += options_.terminal ? without_controls(text) : std::string(text);
  within_line_ = text.back() != '\n';
}

void AnswerView::show_line(const std::string& line, ViewText& out) {
  if (!options_.terminal) {
    out.notice += without_controls(line) + "\n";
    return;
  }
  if (within_line_) out.output += "\n";
  out.output += dimmed(without_controls(line), options_) + "\n";
  within_line_ = false;
}

std::string dimmed(const std::string& text, const ViewOptions& options) {
  if (text.empty() || !options.styles) return text;
  return kDim + text + kPlain;
}

std::string call_text(const ToolCall& call) {
  return call.name + " " + call.arguments.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string thought_text(const std::string& thought, const ViewOptions& options) {
  WrappedText rows(text_columns(options.terminal ? options.size() : TerminalSize{}));
  std::string text = rows.append(without_controls(thought));
  text += rows.end();
  return dimmed(text, options);
}

}  // namespace carat
