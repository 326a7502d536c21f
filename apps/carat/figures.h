#pragma once

#include <cstdint>
#include <string>

namespace carat {

/// Numbers as people read them.

/// "812 B", "13.4 MB", "2.61 GB": three digits, powers of 1000.
std::string bytes_text(uint64_t bytes);

/// "4,647,449,891".
std::string count_text(int64_t count);

/// "9 s", "2 min 10 s", "1 h 05 min".
std::string duration_text(double seconds);

/// Three digits, without an exponent: "0.0123", "4.56", "812", "12300".
std::string rate_text(double value);

}  // namespace carat
