#include "terminal.h"

#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include <clocale>
#include <cstdlib>

#include "base/utf8.h"

namespace carat {
namespace {

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

}  // namespace

bool is_terminal(int descriptor) {
  const char* kind = std::getenv("TERM");
  return isatty(descriptor) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

TerminalSize terminal_size(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

bool styles_wanted() {
  const char* value = std::getenv("NO_COLOR");
  return value == nullptr || *value == '\0';
}

void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

int display_width(std::string_view text) {
  int width = 0;
  while (!text.empty()) {
    const size_t size = utf8_front(text).size;
    // A character that the system does not know is drawn somehow, most likely in one column.
    const int columns = wcwidth(static_cast<wchar_t>(code_point(text.substr(0, size))));
    width += columns < 0 ? 1 : columns;
    text.remove_prefix(size);
  }
  return width;
}

std::string without_controls(std::string_view text) {
  const std::string valid = to_valid_utf8(text);
  std::string out;
  for (std::string_view rest = valid; !rest.empty();) {
    const std::string_view character = rest.substr(0, utf8_front(rest).size);
    rest.remove_prefix(character.size());
    const char32_t c = code_point(character);
    out += is_control(c) && c != '\n' && c != '\t' ? kReplacementCharacter : character;
  }
  return out;
}

HiddenTyping::HiddenTyping() {
  termios settings{};
  if (tcgetattr(STDIN_FILENO, &settings) != 0) return;
  before_ = settings;
  // Line by line, the terminal would swallow a Ctrl-D.
  settings.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON);
  tcsetattr(STDIN_FILENO, TCSANOW, &settings);
}

HiddenTyping::~HiddenTyping() {
  if (before_) tcsetattr(STDIN_FILENO, TCSANOW, &*before_);
}

}  // namespace carat
