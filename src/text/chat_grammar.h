#pragma once

#include <string_view>

namespace carat {

// The words of Gemma 4's chat format beside its special pieces. Rendering writes them and parsing expects them.

inline constexpr std::string_view kNewline = "\n";             ///< after a role and after a turn
inline constexpr std::string_view kThoughtLine = "thought\n";  ///< opens the channel of thoughts
inline constexpr std::string_view kDeclarationWord = "declaration:";
inline constexpr std::string_view kCallWord = "call:";
inline constexpr std::string_view kResponseWord = "response:";
inline constexpr std::string_view kPlainResultKey = "value";  ///< of a result that is no object
inline constexpr std::string_view kUnknownTool = "unknown";   ///< whose result nobody named

inline constexpr std::string_view kObjectOpen = "{";
inline constexpr std::string_view kObjectClose = "}";
inline constexpr std::string_view kListOpen = "[";
inline constexpr std::string_view kListClose = "]";
inline constexpr std::string_view kKeyEnd = ":";
inline constexpr std::string_view kSeparator = ",";
inline constexpr std::string_view kTrue = "true";
inline constexpr std::string_view kFalse = "false";
inline constexpr std::string_view kNull = "null";
inline constexpr std::string_view kPythonNull = "None";

}  // namespace carat
