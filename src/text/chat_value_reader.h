#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/chat_pieces.h"

namespace carat {

/// Reads the syntax of text/chat_values.h from the front of a text to its end. Errors say what was found and what was
/// expected; nothing is read deeper than `kDeepestValue`.
class ChatValueReader {
 public:
  /// `text` must outlive the reader.
  explicit ChatValueReader(const ChatText& text) : parts_(text.parts()) {}

  /// `call:NAME`, up to the brace.
  Result<std::string> call_name();
  Result<nlohmann::ordered_json> value() { return value(0); }
  Result<nlohmann::ordered_json> object() { return object(0); }
  /// Nothing but white space is left.
  Status end();

 private:
  Result<nlohmann::ordered_json> value(int depth);
  Result<nlohmann::ordered_json> object(int depth);
  Result<nlohmann::ordered_json> list(int depth);
  Result<nlohmann::ordered_json> word();
  Result<std::string> key();
  Result<std::string> quoted();
  Result<std::string> json_string();

  std::string_view rest() const;  // of the text at the front; empty before a piece and at the end
  bool at_piece(ChatPiece piece) const;
  void skip_white_space();
  bool take(std::string_view word);
  std::string take_until(std::string_view stops);
  Error expected(const std::string& what) const;

  const std::vector<ChatPart>& parts_;
  size_t part_ = 0;
  size_t offset_ = 0;  // in that part's text
};

}  // namespace carat
