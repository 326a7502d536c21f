#include "text/chat.h"

#include <algorithm>
#include <string_view>

#include "base/utf8.h"

namespace carat {
namespace {

constexpr std::string_view kTurnOpen = "<|turn>";
constexpr std::string_view kTurnClose = "<turn|>";
constexpr std::string_view kToolResponse = "<|tool_response>";

// The role's name inside the conversation; empty for an unknown role.
std::string_view role_name(std::string_view role) {
  if (role == "assistant" || role == "model") return "model";
  if (role == "developer" || role == "system") return "system";
  if (role == "user") return "user";
  return {};
}

void append(std::vector<int32_t>& ids, const std::vector<int32_t>& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

}  // namespace

Result<ChatFormat> ChatFormat::create(const Tokenizer& tokenizer, const Vocabulary& vocabulary) {
  for (const std::string_view piece : {kTurnOpen, kTurnClose}) {
    const int32_t id = tokenizer.find(piece);
    if (id < 0 || !is_special_piece(vocabulary, id)) {
      return refused("vocabulary: has no special piece " + std::string(piece) +
                     "; expected an instruction model of Gemma 4's form");
    }
  }
  return ChatFormat(tokenizer, vocabulary);
}

ChatFormat::ChatFormat(const Tokenizer& tokenizer, const Vocabulary& vocabulary)
    : tokenizer_(&tokenizer),
      turn_open_(tokenizer.find(kTurnOpen)),
      turn_close_(tokenizer.find(kTurnClose)),
      stop_(vocabulary.stop) {
  for (const int32_t id : {tokenizer.eos(), turn_close_, tokenizer.find(kToolResponse)}) {
    if (id >= 0) stop_.push_back(id);
  }
  std::ranges::sort(stop_);
  stop_.erase(std::ranges::unique(stop_).begin(), stop_.end());
}

Result<std::vector<int32_t>> ChatFormat::render(std::span<const ChatMessage> messages, bool wants_answer) const {
  std::vector<int32_t> ids = {tokenizer_->bos()};
  for (size_t index = 0; index < messages.size(); ++index) {
    const std::string_view role = role_name(messages[index].role);
    if (role.empty()) {
      return wrong_usage("message " + std::to_string(index + 1) + ": unknown role \"" +
                         to_valid_utf8(messages[index].role) + "\"; known are system, user and model");
    }
    if (role == "system" && index > 0) {
      return wrong_usage("message " + std::to_string(index + 1) + ": a system message can only come first");
    }
    const std::string text = to_valid_utf8(messages[index].text);
    ids.push_back(turn_open_);
    append(ids, tokenizer_->encode(std::string(role) + "\n" + std::string(trim_white_space(text))));
    ids.push_back(turn_close_);
    append(ids, tokenizer_->encode("\n"));
  }
  if (wants_answer) {
    ids.push_back(turn_open_);
    append(ids, tokenizer_->encode("model\n"));
  }
  return ids;
}

}  // namespace carat
