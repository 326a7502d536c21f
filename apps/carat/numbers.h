#pragma once

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdint>
#include <optional>
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

/// The bytes that a text such as "950M", "1.5GiB", "2 GB" or "1073741824" stands for: K, M, G and T are powers of 1000,
/// KiB, MiB, GiB and TiB of 1024, in any case; a part of a byte is dropped. Nothing for what is no such size, for none
/// at all and for more than 2^63 - 1.
std::optional<uint64_t> parse_size(std::string_view text);

/// Refuses what `parse_size` does not take, and makes plain bytes of what it does.
CLI::Validator size_in_bytes();

}  // namespace carat
