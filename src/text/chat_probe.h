#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "text/chat_message.h"
#include "text/chat_revision.h"
#include "text/jinja.h"

namespace carat {

/// What an unknown template and a revision have in common, as a few probe conversations show.
struct ProbeOutcome {
  const TemplateRevision* revision = nullptr;  ///< whose text the template writes most of
  bool turns = false;  ///< system, user and model turns and what stands before an answer; without this nothing counts
  bool thinking = false;       ///< `<|think|>`, and which thoughts are shown again
  bool tools = false;          ///< declarations, calls and results
  bool kept_thoughts = false;  ///< the switch that keeps the thoughts of earlier calls
  std::string difference;      ///< the first place where the turns part; empty when they do not
};

/// Compares the template with every revision. Of those that agree in as much, the newest is taken.
ProbeOutcome probe_template(const JinjaTemplate& chat_template);

/// The variables that HuggingFace's apply_chat_template gives a template for this conversation: `messages` in OpenAI's
/// form, `tools`, `add_generation_prompt`, `enable_thinking`, `preserve_thinking`, `bos_token`, `eos_token`. Calls
/// without an id get one. With `results_inside`, tool results are `tool_responses` of the message that asks for them,
/// the only form that the template of the launch knows.
nlohmann::ordered_json chat_variables(std::span<const ChatMessage> messages, const ChatOptions& options,
                                      bool wants_answer, bool results_inside);

}  // namespace carat
