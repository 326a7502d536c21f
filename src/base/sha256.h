#pragma once

#include <string>
#include <string_view>

namespace carat {

/// SHA-256 of the bytes (FIPS 180-4), as 64 lower-case hexadecimal digits. It is for recognising texts: neither fast
/// nor hardened against anyone who measures its time.
std::string sha256(std::string_view bytes);

}  // namespace carat
