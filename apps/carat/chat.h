#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "generation_options.h"
#include "model/model.h"
#include "model_options.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace carat {

/// What a chat takes, as it was given on the command line.
struct ChatFlags {
  ModelOptions model;
  GenerationFlags generation;
  std::string system;           ///< what the conversation begins with; may be empty
  bool think = false;           ///< the model thinks before it answers
  std::filesystem::path tools;  ///< a JSON array of tools that the model may ask for; empty when there are none
};

/// The chat format of the model, as --chat-template wants it.
Result<ChatFormat> find_chat_format(const ChatFlags& flags, const Model& model, const Tokenizer& tokenizer);

/// What a conversation begins with: the system message, if there is one.
std::vector<ChatMessage> first_messages(const ChatFlags& flags);

/// Loads the model and chats until the input ends. On a terminal there are line editing, commands and a view of the
/// thoughts; from a pipe each line is a message, answers go to standard output, and all else to standard error.
Status run_chat(const ChatFlags& flags);

}  // namespace carat
