// Any bytes are an answer: as text, cut anywhere, the same events; as ids, no crash.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "tests/support/opal.h"
#include "text/chat_answer.h"

namespace {

using namespace carat;

std::string shown(const std::vector<AnswerEvent>& events) {
  std::string text;
  for (const AnswerEvent& event : events) {
    const bool is_text = event.kind == AnswerEvent::Kind::kText || event.kind == AnswerEvent::Kind::kThought;
    if (!is_text || !text.ends_with(static_cast<char>(event.kind))) text += static_cast<char>(event.kind);
    // The kind follows its text, so that texts that follow each other look like one.
    if (is_text) text.insert(text.size() - 1, event.text);
    if (event.call) text += event.call->name + event.call->arguments.dump();
    text += event.error;
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Vocabulary vocabulary = test::opal_vocabulary();
  static const Tokenizer tokenizer = Tokenizer::create(vocabulary).value();
  static const ChatPieceIds pieces(tokenizer, vocabulary);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);

  AnswerStream whole(tokenizer, pieces);
  AnswerStream pieces_of_it(tokenizer, pieces);
  std::vector<AnswerEvent> events = whole.append_text(bytes);
  std::vector<AnswerEvent> cut_events;
  const auto add = [](std::vector<AnswerEvent>& all, std::vector<AnswerEvent> more) {
    for (AnswerEvent& event : more) all.push_back(std::move(event));
  };
  for (size_t at = 0; at < size; ++at) add(cut_events, pieces_of_it.append_text(bytes.substr(at, 1)));
  add(events, whole.end());
  add(cut_events, pieces_of_it.end());
  CARAT_CHECK(shown(events) == shown(cut_events), "an answer does not depend on its cuts");

  AnswerStream by_ids(tokenizer, pieces);
  for (const int32_t id : tokenizer.encode(bytes, true)) by_ids.append(id);
  by_ids.end();
  return 0;
}
