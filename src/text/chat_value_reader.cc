#include "text/chat_value_reader.h"

#include <algorithm>

#include "base/utf8.h"
#include "formats/quote.h"
#include "text/chat_grammar.h"
#include "text/chat_values.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSyntax = ",:[]{}";
constexpr std::string_view kJsonQuote = "\"";
constexpr size_t kShownBytes = 32;

}  // namespace

std::string_view ChatValueReader::rest() const {
  if (part_ == parts_.size() || parts_[part_].piece) return {};
  return std::string_view(parts_[part_].text).substr(offset_);
}

bool ChatValueReader::at_piece(ChatPiece piece) const { return part_ < parts_.size() && parts_[part_].piece == piece; }

void ChatValueReader::skip_white_space() {
  const std::string_view text = rest();
  const size_t size = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  take(text.substr(0, size));
}

bool ChatValueReader::take(std::string_view word) {
  if (word.empty() || !rest().starts_with(word)) return false;
  offset_ += word.size();
  if (!rest().empty()) return true;
  ++part_;
  offset_ = 0;
  return true;
}

std::string ChatValueReader::take_until(std::string_view stops) {
  const std::string text(rest().substr(0, rest().find_first_of(stops)));
  take(text);
  return std::string(trim_white_space(text));
}

Error ChatValueReader::expected(const std::string& what) const {
  std::string found = "the end";
  if (part_ < parts_.size()) {
    found = parts_[part_].piece ? std::string(chat_piece_text(*parts_[part_].piece))
                                : in_quotes(rest().substr(0, kShownBytes));
  }
  return failed("expected " + what + ", found " + found);
}

Result<std::string> ChatValueReader::call_name() {
  skip_white_space();
  if (!take(kCallWord)) return expected("\"call:\" and a tool's name");
  std::string name = take_until(kSyntax);
  if (name.empty()) return expected("a tool's name");
  return name;
}

Status ChatValueReader::end() {
  skip_white_space();
  if (part_ < parts_.size()) return expected("nothing more");
  return success();
}

Result<Json> ChatValueReader::value(int depth) {
  skip_white_space();
  if (at_piece(ChatPiece::kQuote)) {
    CARAT_TRY(std::string text, quoted());
    return Json(std::move(text));
  }
  if (rest().starts_with(kJsonQuote)) {
    CARAT_TRY(std::string text, json_string());
    return Json(std::move(text));
  }
  if (rest().starts_with(kObjectOpen)) return object(depth);
  if (rest().starts_with(kListOpen)) return list(depth);
  return word();
}

Result<Json> ChatValueReader::object(int depth) {
  if (depth >= kDeepestValue) return failed("nested deeper than " + std::to_string(kDeepestValue) + " levels");
  if (!take(kObjectOpen)) return expected("\"{\"");
  Json object = Json::object();
  skip_white_space();
  if (take(kObjectClose)) return object;
  do {
    CARAT_TRY(std::string name, key());
    CARAT_TRY(object[std::move(name)], value(depth + 1));
    skip_white_space();
  } while (take(kSeparator));
  if (!take(kObjectClose)) return expected("\",\" or \"}\"");
  return object;
}

Result<Json> ChatValueReader::list(int depth) {
  if (depth >= kDeepestValue) return failed("nested deeper than " + std::to_string(kDeepestValue) + " levels");
  take(kListOpen);
  Json list = Json::array();
  skip_white_space();
  if (take(kListClose)) return list;
  do {
    CARAT_TRY(Json item, value(depth + 1));
    list.push_back(std::move(item));
    skip_white_space();
  } while (take(kSeparator));
  if (!take(kListClose)) return expected("\",\" or \"]\"");
  return list;
}

Result<Json> ChatValueReader::word() {
  const ChatValueReader start = *this;
  const std::string word = take_until(kSyntax);
  if (word == kTrue) return Json(true);
  if (word == kFalse) return Json(false);
  if (word == kNull || word == kPythonNull) return Json(nullptr);
  Json number = Json::parse(word, nullptr, false);
  if (number.is_number()) return number;
  return start.expected("a value");
}

Result<std::string> ChatValueReader::key() {
  skip_white_space();
  std::string name;
  if (at_piece(ChatPiece::kQuote)) {
    CARAT_TRY(name, quoted());
  } else if (rest().starts_with(kJsonQuote)) {
    CARAT_TRY(name, json_string());
  } else {
    name = take_until(kSyntax);
    if (name.empty()) return expected("a key");
  }
  skip_white_space();
  if (!take(kKeyEnd)) return expected("\":\" after the key " + in_quotes(name));
  return name;
}

Result<std::string> ChatValueReader::quoted() {
  ++part_;
  std::string text(rest());
  take(text);
  if (!at_piece(ChatPiece::kQuote)) return expected("the end of a string");
  ++part_;
  return text;
}

Result<std::string> ChatValueReader::json_string() {
  const std::string_view text = rest();
  size_t end = 1;
  while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  const Json parsed = Json::parse(text.substr(0, end + 1), nullptr, false);
  if (!parsed.is_string()) return expected("a string");
  take(text.substr(0, end + 1));
  return parsed.get<std::string>();
}

}  // namespace carat
