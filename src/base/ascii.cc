#include "base/ascii.h"

namespace carat {

std::string to_upper(std::string_view text) {
  std::string changed(text);
  for (char& character : changed) character = to_upper(character);
  return changed;
}

std::string to_lower(std::string_view text) {
  std::string changed(text);
  for (char& character : changed) character = to_lower(character);
  return changed;
}

}  // namespace carat
