#include "message_lines.h"

#include <utility>

namespace carat {
namespace {

constexpr std::string_view kQuotes = "\"\"\"";

}  // namespace

bool MessageLines::add(std::string_view line) {
  if (waiting_) message_.text += '\n';
  if (!waiting_ && line.starts_with(kQuotes)) {
    message_.quoted = true;
    line.remove_prefix(kQuotes.size());
  }
  const std::string_view mark = message_.quoted ? kQuotes : "\\";
  const bool marked = line.ends_with(mark);
  if (marked) line.remove_suffix(mark.size());
  message_.text += line;
  waiting_ = marked != message_.quoted;
  return !waiting_;
}

TypedMessage MessageLines::take() { return std::exchange(*this, {}).message_; }

}  // namespace carat
