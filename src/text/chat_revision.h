#pragma once

#include <span>
#include <string_view>

namespace carat {

/// Google writes one chat template for E2B and E4B, which answer at once when thinking is off, and one for the larger
/// models, which begin every answer with a thought, if need be an empty one.
enum class ChatSize { kSmall, kLarge };

/// How a revision writes the declaration of a tool.
enum class DeclarationStyle {
  kLaunch,    ///< `nullable` before the other members; a comma before `properties` and `items` in any case
  kFiltered,  ///< commas only between members; parameters named as schema members are left out
  kComplete,  ///< every parameter is written
};

/// Which thoughts after the last user message the model sees again.
enum class ShownThoughts {
  kNone,
  kOfCalls,  ///< those that a call follows
  kAll,
};

/// What one revision of Google's chat template does differently from others.
struct TemplateRevision {
  std::string_view name;  ///< the day of its publication
  ChatSize size = ChatSize::kSmall;
  DeclarationStyle declarations = DeclarationStyle::kComplete;
  ShownThoughts shown_thoughts = ShownThoughts::kAll;
  /// `<|think|>` is followed by a newline.
  bool newline_after_think = true;
  /// A run of model messages with their tool results is one turn; at launch each message was one.
  bool joins_turns = true;
  /// ... and that turn is closed once, at its end.
  bool closes_once = true;
  /// Knows `ChatOptions::keep_thoughts`.
  bool can_keep_thoughts = true;
  /// What follows tool results opens with `<|channel>thought\n` when thinking is on.
  bool opens_thought_after_results = true;
  /// ... and with an empty thought when it is off, in the large models.
  bool empties_thought_after_results = false;
  /// A call without a result ends with `<|tool_response>` in place of the turn's end.
  bool opens_missing_result = true;
  /// A null inside arguments is `null`; before, `None`.
  bool writes_null = true;
  /// A text of nothing but white space beside tool results counts as none.
  bool ignores_blank_text = true;
};

/// All revisions, oldest first, small before large.
std::span<const TemplateRevision> template_revisions();

/// The newest revision for models of that size.
const TemplateRevision& latest_revision(ChatSize size);

/// SHA-256 of the template file of one of these, as Google published it.
std::string_view template_digest(const TemplateRevision& revision);

/// The revision whose template has this text, by the SHA-256 of Google's file; nullptr when it is none of them. A
/// newline at the end more or less does not count.
const TemplateRevision* recognise_template(std::string_view text);

}  // namespace carat
