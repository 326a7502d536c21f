#pragma once

#include <string>
#include <string_view>

namespace carat {

/// `text` as HTML and SVG show it, between tags and in quoted attributes: the characters & < > " ' are escaped, and
/// U+FFFD stands for what is no UTF-8 and for control characters, which XML does not allow.
std::string escaped(std::string_view text);

}  // namespace carat
