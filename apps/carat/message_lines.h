#pragma once

#include <string>
#include <string_view>

namespace carat {

/// What somebody typed, once it is complete.
struct TypedMessage {
  std::string text;
  bool quoted = false;  ///< stood between triple quotes: a message, whatever it begins with
};

/// Puts typed lines together to messages. A line that ends in a backslash goes on in the next one. From a line that
/// begins with """ to one that ends with """, everything is one message. Any other line is a message by itself.
class MessageLines {
 public:
  /// `line` comes without the newline at its end; it may hold newlines of pasted text. Returns whether the message is
  /// complete.
  bool add(std::string_view line);

  /// Whether lines wait for the rest of their message.
  bool waiting() const { return waiting_; }

  /// The complete message; then the next one begins.
  TypedMessage take();

  /// Forgets lines that wait.
  void clear() { *this = {}; }

 private:
  TypedMessage message_;
  bool waiting_ = false;
};

}  // namespace carat
