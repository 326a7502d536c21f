#include "answer_view.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <charconv>

#include "base/utf8.h"

namespace carat {
namespace {

/// A terminal that understands what the view writes: text, newlines, and the few commands that it uses. Rows that
/// scroll away are kept above the screen, out of reach, as terminals do.
class FakeTerminal {
 public:
  FakeTerminal(int columns, int rows) : size_{.columns = columns, .rows = rows} {}

  const TerminalSize& size() const { return size_; }

  void write(std::string_view text) {
    while (!text.empty()) text.remove_prefix(text.front() == '\033' ? obey(text) : put(text));
  }

  /// Everything that was ever scrolled away and what is on the screen now, without empty rows at the end.
  std::string content() const {
    std::string out;
    for (const std::string& row : rows_) out += row + "\n";
    out.resize(out.find_last_not_of('\n') == std::string::npos ? 0 : out.find_last_not_of('\n') + 1);
    return out;
  }

 private:
  size_t put(std::string_view text) {
    const size_t size = utf8_front(text).size;
    const std::string_view character = text.substr(0, size);
    if (character == "\n" || character == "\r") {
      column_ = 0;
      row_ += character == "\n" ? 1 : 0;
      rows_.resize(std::max(rows_.size(), row_ + 1));
      return size;
    }
    if (column_ == size_.columns) put("\n");
    rows_[row_] += character;
    ++column_;
    return size;
  }

  /// ESC [ number letter
  size_t obey(std::string_view text) {
    size_t number = 0;
    const auto* const digits = text.data() + 2;
    const auto* const letter = std::from_chars(digits, text.data() + text.size(), number).ptr;
    const size_t top = rows_.size() - std::min(rows_.size(), static_cast<size_t>(size_.rows));
    if (*letter == 'A') row_ = std::max(top, row_ - std::min(row_, number));
    if (*letter == 'J') {
      EXPECT_EQ(column_, 0);
      rows_.resize(row_ + 1);
      rows_[row_].clear();
    }
    return static_cast<size_t>(letter - text.data()) + 1;
  }

  TerminalSize size_;
  std::vector<std::string> rows_{""};
  size_t row_ = 0;
  int column_ = 0;
};

AnswerEvent thought(const std::string& text) { return {.kind = AnswerEvent::Kind::kThought, .text = text}; }
AnswerEvent said(const std::string& text) { return {.kind = AnswerEvent::Kind::kText, .text = text}; }

class AnswerViewTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { use_utf8_locale(); }

  ViewOptions options(bool fold = true) {
    return {.terminal = true, .styles = true, .fold = fold, .size = [this] { return size_; }};
  }

  /// Each event is a token that takes half a second.
  std::string written(const ViewOptions& view_options, const std::vector<AnswerEvent>& events) {
    AnswerView view(view_options);
    AnswerProgress progress;
    std::string out;
    for (const AnswerEvent& event : events) {
      progress = {.seconds = progress.seconds + 0.5, .tokens = progress.tokens + 1};
      out += view.show(event, progress).output;
    }
    return out + view.end(progress).output;
  }

  std::string screen(const std::string& before, const std::string& text) {
    FakeTerminal terminal(size_.columns, size_.rows);
    terminal.write(before);
    terminal.write(text);
    return terminal.content();
  }

  TerminalSize size_{.columns = 24, .rows = 10};
};

TEST_F(AnswerViewTest, AFinishedThoughtIsFolded) {
  const std::string text = written(options(), {thought("The question is"), thought(" short, and so"),
                                               thought(" is the answer.\nYes."), said("Yes"), said(".")});
  EXPECT_EQ(screen("> Is it?\n", text), "> Is it?\nthought for 1.50 s, 3 to\nkens (/thoughts shows th\nem)\nYes.");
}

TEST_F(AnswerViewTest, UntilThenItIsShownDimmed) {
  AnswerView view(options());
  std::string text = view.show(thought("one two three four five six "), {}).output;
  EXPECT_EQ(text, "\033[2mthinking\033[0m\n\033[2mone two three four five\nsix\033[0m");
  EXPECT_EQ(screen("", text), "thinking\none two three four five\nsix");
}

TEST_F(AnswerViewTest, FoldingTakesAwayAsManyRowsAsWereWritten) {
  std::string long_word(100, 'x');
  const std::string text = written(options(), {thought("日本語 " + long_word + "\n\n"), thought("end"), said("Yes.")});
  const std::string shown = screen("> Is it?\n", text);
  EXPECT_TRUE(shown.starts_with("> Is it?\nthought for")) << shown;
  EXPECT_TRUE(shown.ends_with("Yes.")) << shown;
  EXPECT_EQ(shown.find('x'), std::string::npos) << shown;
}

TEST_F(AnswerViewTest, FoldingWorksAtTheBottomOfTheScreen) {
  std::string before;
  for (int line = 0; line < 30; ++line) before += "line " + std::to_string(line) + "\n";
  size_.columns = 60;
  const std::string text = written(options(), {thought("a\nb\nc"), said("Yes.")});
  EXPECT_EQ(screen(before, text), before + "thought for 0.500 s, 1 token (/thoughts shows them)\nYes.");
}

TEST_F(AnswerViewTest, AThoughtThatLeftTheScreenStays) {
  size_.columns = 60;
  const std::string rows = "1\n2\n3\n4\n5\n6\n7\n8\n9";
  const std::string text = written(options(), {thought(rows), said("Yes.")});
  EXPECT_EQ(screen("", text), "thinking\n" + rows + "\nthought for 0.500 s, 1 token\nYes.");
}

TEST_F(AnswerViewTest, AThoughtStaysWhenTheWindowChanges) {
  AnswerView view(options());
  std::string text = view.show(thought("one"), {}).output;
  size_.columns = 30;
  text += view.show(said("Yes."), {}).output;
  EXPECT_EQ(text.find("\033[2A"), std::string::npos);
}

TEST_F(AnswerViewTest, UnfoldedThoughtsStay) {
  size_.columns = 60;
  const std::string text = written(options(/*fold=*/false), {thought("one"), said("Yes.")});
  EXPECT_EQ(screen("", text), "thinking\none\nthought for 0.500 s, 1 token\nYes.");
}

TEST_F(AnswerViewTest, AnEmptyThoughtIsNone) {
  EXPECT_EQ(written(options(), {thought(""), thought("\n"), said("Yes.")}), "Yes.\n");
}

TEST_F(AnswerViewTest, WithoutStylesNothingIsDimmed) {
  ViewOptions plain = options(/*fold=*/false);
  plain.styles = false;
  EXPECT_EQ(written(plain, {thought("one"), said("Yes.")}).find('\033'), std::string::npos);
}

TEST_F(AnswerViewTest, WithoutATerminalOnlyTheAnswerIsOutput) {
  AnswerView view({});
  ViewText out = view.show(thought("one"), {.seconds = 1, .tokens = 1});
  EXPECT_EQ(out.output + out.notice, "");
  out = view.show(said("Y\033[1mes.\n"), {.seconds = 2, .tokens = 2});
  EXPECT_EQ(out.output, "Y\033[1mes.\n");
  EXPECT_EQ(out.notice, "thought for 1.00 s, 1 token\n");
  EXPECT_EQ(view.end({}).output, "\n");
}

TEST_F(AnswerViewTest, ModelsCannotCommandTheTerminal) {
  const std::string text = written(options(/*fold=*/false), {thought("\033]0;a\007"), said("b\033[2J")});
  EXPECT_EQ(text.find("\033]"), std::string::npos);
  EXPECT_EQ(text.find("\033[2J"), std::string::npos);
}

TEST_F(AnswerViewTest, CallsHaveALine) {
  size_.columns = 60;
  const AnswerEvent call = {.kind = AnswerEvent::Kind::kCall,
                            .call = ToolCall{.name = "weather", .arguments = {{"city", "Bonn"}}}};
  const AnswerEvent broken = {.kind = AnswerEvent::Kind::kMalformedCall, .text = "call:x", .error = "no arguments"};
  EXPECT_EQ(screen("", written(options(), {said("Let me look."), call, broken})),
            "Let me look.\ncalls weather {\"city\":\"Bonn\"}\ncalls a tool in a way that cannot be read: no arguments");
}

TEST_F(AnswerViewTest, ThoughtsAreShownAgain) {
  EXPECT_EQ(thought_text("one\ntwo", options()), "\033[2mone\ntwo\n\033[0m");
  EXPECT_EQ(thought_text("one\ntwo", {}), "one\ntwo\n");
}

}  // namespace
}  // namespace carat
