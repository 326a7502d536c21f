#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace carat {

/// Whether all of `text` is a number of this type, which is then in `number`.
template <typename T>
bool parse_number(std::string_view text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

// By itself CLI11 takes -1 for the largest value of an unsigned option, and too many digits for the largest value.

/// Refuses what is no decimal number from 0 to 2^64 - 1.
CLI::Validator seed_number();

/// Refuses what is no decimal number from `least` to 2^63 - 1.
CLI::Validator count_of_at_least(uint64_t least);

}  // namespace carat
