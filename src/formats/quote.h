#pragma once

#include <string>
#include <string_view>

namespace carat {

/// Text from a file as a message may show it: in quotes, control characters and bytes outside ASCII as \xNN,
/// cut after 80 bytes. A file's name for a thing can hold anything, terminal commands among it.
std::string in_quotes(std::string_view text);

/// A number in a message, in at most six digits: "0.5", "-1", "1e-06".
std::string number_text(double number);

/// The same without the quotes, for names that stand at the head of a message.
std::string printable(std::string_view text);

/// Whether `printable` shows the text as it is.
bool is_printable(std::string_view text);

}  // namespace carat
