#include "text/chat_values.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/ascii.h"
#include "text/chat_grammar.h"
#include "text/chat_value_reader.h"
#include "text/python_float.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

bool before_without_case(std::string_view left, std::string_view right) {
  return std::ranges::lexicographical_compare(
      left, right, {}, [](char c) { return static_cast<uint8_t>(to_lower(c)); },
      [](char c) { return static_cast<uint8_t>(to_lower(c)); });
}

Status check_depth(const Json& value, const std::string& what, int depth) {
  if (value.is_structured() && depth >= kDeepestValue) {
    return wrong_usage(what + ": is nested deeper than " + std::to_string(kDeepestValue) + " levels");
  }
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return wrong_usage(what + ": has a number that is not finite, which the model's syntax cannot say");
  }
  if (value.is_binary() || value.is_discarded()) return wrong_usage(what + ": is not JSON");
  if (!value.is_structured()) return success();
  for (const Json& member : value) CARAT_TRY_STATUS(check_depth(member, what, depth + 1));
  return success();
}

void write_string(std::string_view text, ChatText& out) { out << ChatPiece::kQuote << text << ChatPiece::kQuote; }

void write_list(const Json& list, const ValueStyle& style, ChatText& out) {
  out << kListOpen;
  std::string_view separator;
  for (const Json& item : list) {
    out << separator;
    write_value(item, style, out);
    separator = kSeparator;
  }
  out << kListClose;
}

void write_object(const Json& object, const ValueStyle& style, ChatText& out) {
  out << kObjectOpen;
  std::string_view separator;
  for (const auto& [key, value] : sorted_members(object)) {
    out << separator;
    if (style.quotes_keys) {
      write_string(key, out);
    } else {
      out << key;
    }
    out << kKeyEnd;
    write_value(*value, style, out);
    separator = kSeparator;
  }
  out << kObjectClose;
}

}  // namespace

std::vector<std::pair<std::string_view, const Json*>> sorted_members(const Json& object) {
  std::vector<std::pair<std::string_view, const Json*>> members;
  for (auto member = object.begin(); member != object.end(); ++member) members.emplace_back(member.key(), &*member);
  std::ranges::stable_sort(members, before_without_case, [](const auto& member) { return member.first; });
  return members;
}

Status check_value(const Json& value, const std::string& what) { return check_depth(value, what, 0); }

void write_value(const Json& value, const ValueStyle& style, ChatText& out) {
  if (value.is_string()) return write_string(value.get_ref<const std::string&>(), out);
  if (value.is_array()) return write_list(value, style, out);
  if (value.is_object()) return write_object(value, style, out);
  if (value.is_boolean()) {
    out << (value.get<bool>() ? kTrue : kFalse);
  } else if (value.is_number_unsigned()) {
    out << std::to_string(value.get<uint64_t>());
  } else if (value.is_number_integer()) {
    out << std::to_string(value.get<int64_t>());
  } else if (value.is_number_float()) {
    out << python_float_text(value.get<double>());
  } else {
    out << (style.writes_null ? kNull : kPythonNull);
  }
}

void write_call(const ToolCall& call, const ValueStyle& style, ChatText& out) {
  out << ChatPiece::kToolCallOpen << kCallWord << call.name;
  write_object(call.arguments, style, out);
  out << ChatPiece::kToolCallClose;
}

void write_result(std::string_view name, const Json& result, const ValueStyle& style, ChatText& out) {
  out << ChatPiece::kToolResponseOpen << kResponseWord << name;
  write_object(result.is_object() ? result : Json{{std::string(kPlainResultKey), result}}, style, out);
  out << ChatPiece::kToolResponseClose;
}

Result<Json> read_value(const ChatText& text) {
  ChatValueReader reader(text);
  CARAT_TRY(Json value, reader.value());
  CARAT_TRY_STATUS(reader.end());
  return value;
}

Result<ToolCall> read_call(const ChatText& text) {
  ChatValueReader reader(text);
  ToolCall call;
  CARAT_TRY(call.name, reader.call_name());
  CARAT_TRY(call.arguments, reader.object());
  CARAT_TRY_STATUS(reader.end());
  return call;
}

}  // namespace carat
