#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>

namespace carat {

// By itself CLI11 takes -1 for the largest value of an unsigned option, and too many digits for the largest value.

/// Refuses what is no decimal number from 0 to 2^64 - 1.
CLI::Validator seed_number();

/// Refuses what is no decimal number from `least` to 2^63 - 1.
CLI::Validator count_of_at_least(uint64_t least);

}  // namespace carat
