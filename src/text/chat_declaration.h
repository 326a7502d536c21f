#pragma once

#include "text/chat_message.h"
#include "text/chat_pieces.h"
#include "text/chat_revision.h"

namespace carat {

/// Writes the declaration of a tool with its outer pieces, as that revision's template does:
///
///     <|tool>declaration:NAME{description:Q..Q,parameters:{properties:{...},required:[Q..Q,...],type:Q OBJECT
///     Q}}<tool|>
///
/// Of a parameter's schema come `description`, `enum` (of a string), `items` (of an array), `nullable`, `properties`
/// and `required` (of an object) and `type`, in upper case; other members only inside `items`. The parameters must pass
/// `check_value`.
void write_declaration(const ToolDeclaration& tool, const TemplateRevision& revision, ChatText& out);

}  // namespace carat
