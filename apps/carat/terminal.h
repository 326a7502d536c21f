#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <string_view>

namespace carat {

struct TerminalSize {
  int columns = 80;
  int rows = 24;
};

/// Whether the file descriptor is a terminal that understands cursor movements: not TERM=dumb.
bool is_terminal(int descriptor);

/// The size of the terminal behind a file descriptor; 80 by 24 when it does not tell.
TerminalSize terminal_size(int descriptor);

/// Whether styles such as dimmed text are welcome: NO_COLOR is not set, or empty (https://no-color.org).
bool styles_wanted();

/// Characters are taken as UTF-8 from now on, in whatever language the user's locale is, so that their width is known
/// and they can be edited. Numbers are not touched.
void use_utf8_locale();

/// Columns that valid UTF-8 takes on a terminal. Needs `use_utf8_locale`.
int display_width(std::string_view text);

/// `text` with U+FFFD for each control character but newline and tab. What a model writes or a file holds could command
/// the terminal otherwise.
std::string without_controls(std::string_view text);

/// As long as it lives, what is typed on standard input does not show, for it would mix with what is being written; it
/// is read later. Does nothing where standard input is no terminal.
class HiddenTyping {
 public:
  HiddenTyping();
  ~HiddenTyping();
  HiddenTyping(const HiddenTyping&) = delete;
  HiddenTyping& operator=(const HiddenTyping&) = delete;

 private:
  std::optional<termios> before_;
};

}  // namespace carat
