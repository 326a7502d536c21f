#pragma once

#include <string>

#include "base/result.h"
#include "formats/model_config.h"
#include "formats/vocabulary.h"
#include "text/chat.h"
#include "text/tokenizer.h"

namespace carat {

/// How to find the chat format of a model.
enum class ChatTemplateChoice {
  kAuto,    ///< the format that the file's own template writes; an error when there is none such
  kGemma4,  ///< the newest format for a model of that size, whatever the file's template says
};

/// The choice of that name, "auto" or "gemma4"; wrong usage for another.
Result<ChatTemplateChoice> chat_template_choice(const std::string& name);

/// The format in which to talk to a model, with a `description()` of how it was found.
///
/// A template of Google's is recognised by its digest, and gives its own revision. Without a template the newest
/// revision is taken: the small one for models with per-layer embeddings, the large one for others. Any other template
/// renders a few probe conversations: the revision that writes the same text is taken, without thinking or tools where
/// the template writes these otherwise. Refuses, with the place where the texts part, a template that writes turns in
/// no known way, and, with the line, one that cannot be read. `tokenizer` must be of `vocabulary` and outlive the
/// format; `source` names the file in messages.
Result<ChatFormat> choose_chat_format(const Tokenizer& tokenizer, const Vocabulary& vocabulary,
                                      const ModelConfig& config, ChatTemplateChoice choice, const std::string& source);

}  // namespace carat
