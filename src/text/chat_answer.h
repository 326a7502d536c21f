#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_message.h"
#include "text/chat_pieces.h"
#include "text/tokenizer.h"

namespace carat {

/// Something that an answer consists of.
struct AnswerEvent {
  enum class Kind {
    kThought,        ///< `text`: more of a thought, without the line that names its channel
    kText,           ///< `text`: more of the answer
    kCall,           ///< `call`: a tool that the model asks for
    kMalformedCall,  ///< `text`: a call as the model wrote it, without its outer pieces; `error` says what is wrong
    kTurnEnd,        ///< the model has ended its turn
    kResultWanted,   ///< the model waits for the results of its calls
  };
  Kind kind;
  std::string text;
  std::optional<ToolCall> call;
  std::string error;
};

/// Whether an answer to this prompt begins inside a thought: its last channel is open.
bool ends_within_thought(std::span<const int32_t> prompt, const ChatPieceIds& pieces);

/// Reads an answer as it comes, by ids or as text, and says what it consists of. How the answer is cut changes only how
/// texts are cut. Nothing that a model can write makes it fail; a piece that means nothing where it stands is dropped.
/// A channel of another name than `thought` is part of the answer.
class AnswerStream {
 public:
  /// `tokenizer` must outlive the stream; `pieces` is of the same vocabulary. With `within_thought` the answer begins
  /// inside a thought (`ends_within_thought`).
  AnswerStream(const Tokenizer& tokenizer, const ChatPieceIds& pieces, bool within_thought = false);

  /// The next id, which must be in the vocabulary. Only the ids of special pieces are special, whatever others spell.
  std::vector<AnswerEvent> append(int32_t id);

  /// More of an answer's bytes, in which special pieces are spelled out. Not to be mixed with ids in one answer.
  std::vector<AnswerEvent> append_text(std::string_view bytes);

  /// The end of the answer: what waited comes out, a call that was not closed as a malformed one. Then the stream is
  /// as new, outside any thought.
  std::vector<AnswerEvent> end();

 private:
  enum class State { kAnswer, kChannelName, kThought, kCall };

  void read_spelled(bool is_end);
  void read_bytes(std::string_view bytes);
  void flush_bytes();
  void read_text(std::string_view text);
  void read_channel_name(std::string_view text);
  void read_thought(std::string_view text);
  void read_piece(ChatPiece piece);
  bool read_call_piece(ChatPiece piece);
  void leave(bool closed);
  void finish_call(bool closed);
  void give(AnswerEvent::Kind kind, std::string_view text = {});

  const Tokenizer* tokenizer_;
  ChatPieceIds pieces_;
  State state_;
  std::string spelled_;  // the start of a spelled piece, perhaps
  std::string bytes_;    // the start of a character
  std::string held_;     // the start of a channel's name; or a newline that perhaps belongs to the end of a thought
  ChatText call_;
  std::vector<AnswerEvent> events_;
};

}  // namespace carat
