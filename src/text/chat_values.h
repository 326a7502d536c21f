#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/chat_message.h"
#include "text/chat_pieces.h"

namespace carat {

/// The syntax of values inside calls, results and declarations. `Q` is the piece `<|"|>`:
///
///     value   = Q text Q | number | true | false | null | [value,value,...] | {key:value,key:value,...}
///     key     = text | Q text Q
///     call    = <|tool_call>call:NAME{key:value,...}<tool_call|>
///     result  = <|tool_response>response:NAME{key:value,...}<tool_response|>
///
/// The same definitions write it and read it. Nothing is escaped: a string ends at the next `Q`, which no text can be.
/// A bare key that is empty, has one of `,:[]{}` in it or white space at an end is written but not read back.
inline constexpr int kDeepestValue = 64;

/// How values differ from place to place and from revision to revision.
struct ValueStyle {
  bool quotes_keys = false;  ///< in declarations
  bool writes_null = true;   ///< a null is `null`; without, `None`, which is read as null too
};

/// The members of an object by key, as Jinja's `dictsort` orders them: ASCII letters without their case, otherwise by
/// code point; keys that differ by case only stay in their order.
std::vector<std::pair<std::string_view, const nlohmann::ordered_json*>> sorted_members(
    const nlohmann::ordered_json& object);

/// Refuses as wrong usage what cannot be written: lists and objects deeper than `kDeepestValue`, numbers that are not
/// finite, binary data. `what` names the value in the message.
Status check_value(const nlohmann::ordered_json& value, const std::string& what);

/// Writes a value that `check_value` accepts. A fractional number is written as Python writes it, in the fewest digits
/// that read back as the same double.
void write_value(const nlohmann::ordered_json& value, const ValueStyle& style, ChatText& out);

/// Writes a call with its outer pieces.
void write_call(const ToolCall& call, const ValueStyle& style, ChatText& out);

/// Writes a result with its outer pieces; what is no object becomes the member `value` of one.
void write_result(std::string_view name, const nlohmann::ordered_json& result, const ValueStyle& style, ChatText& out);

/// Reads a value. White space around values and keys does not count, and strings and keys in JSON's own quotes are read
/// too. An error says what was found where.
Result<nlohmann::ordered_json> read_value(const ChatText& text);

/// Reads what stands between `<|tool_call>` and `<tool_call|>`.
Result<ToolCall> read_call(const ChatText& text);

}  // namespace carat
