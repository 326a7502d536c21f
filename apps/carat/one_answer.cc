#include "one_answer.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "answer_view.h"
#include "conversation.h"
#include "interrupt.h"
#include "output.h"
#include "terminal.h"

namespace carat {
namespace {

/// Writes an answer where it belongs.
class AnswerWriter {
 public:
  explicit AnswerWriter(bool writes_text) : writes_text_(writes_text) {}

  /// The first failure to write, if there was one.
  const Status& written() const { return written_; }

  void show(const AnswerEvent& event, const AnswerProgress& progress) {
    if (event.kind == AnswerEvent::Kind::kThought) {
      show_thought(event.text);
    } else {
      end_thought();
      write(view_.show(event, progress));
    }
    last_ = progress;
  }

  void end() {
    end_thought();
    write(view_.end(last_));
  }

 private:
  void show_thought(const std::string& text) {
    if (!shows_thoughts_) return;
    within_thought_ = true;
    std::fputs(dimmed(without_controls(text), {.styles = styles_wanted()}).c_str(), stderr);
  }

  void end_thought() {
    if (std::exchange(within_thought_, false)) std::fputs("\n", stderr);
  }

  void write(const ViewText& text) {
    std::fputs(text.notice.c_str(), stderr);
    if (writes_text_ && written_.ok())
      written_ = write_output(on_terminal_ ? without_controls(text.output) : text.output);
  }

  bool writes_text_;
  bool on_terminal_ = is_terminal(STDOUT_FILENO);
  bool shows_thoughts_ = writes_text_ && is_terminal(STDERR_FILENO);
  bool within_thought_ = false;
  AnswerView view_{{}};
  AnswerProgress last_;
  Status written_ = success();
};

}  // namespace

Result<Answer> answer_message(const ChatFlags& flags, const LoadedModel& loaded, const std::string& text,
                              bool writes_text) {
  CARAT_TRY(const ChatFormat format, find_chat_format(flags, *loaded.model, *loaded.tokenizer));
  Conversation conversation(*loaded.session, *loaded.tokenizer, format);
  CARAT_TRY_STATUS(conversation.set(first_messages(flags), {.thinking = flags.think}));
  conversation.add({.role = ChatRole::kUser, .text = text});

  const std::atomic<bool>& interrupted = watch_interrupts();
  AnswerWriter writer(writes_text);
  const auto take = [&](const AnswerEvent& event, const AnswerProgress& progress) {
    writer.show(event, progress);
    return writer.written().ok() && !interrupted;
  };
  const AnswerLimits limits = {.tokens = flags.generation.tokens.value_or(kAnswerTokens),
                               .batch = loaded.model->batch(),
                               .stop = flags.generation.stop};
  CARAT_TRY(Answer answer, conversation.answer(limits, {.on_event = take,
                                                        .on_read = [](int64_t, int64_t) {},
                                                        .interrupted = [&] { return interrupted.load(); }}));
  writer.end();
  CARAT_TRY_STATUS(writer.written());
  return answer;
}

}  // namespace carat
