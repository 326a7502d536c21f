#pragma once

#include <string>
#include <string_view>

namespace carat {

/// The case of ASCII letters; other characters stay as they are.
constexpr char to_upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);

}  // namespace carat
