#include "text/chat_template.h"

#include <utility>

#include "formats/quote.h"
#include "text/chat_probe.h"
#include "text/jinja.h"

namespace carat {
namespace {

constexpr const char* kForced = "--chat-template gemma4 takes Gemma 4's own format all the same";

ChatSize chat_size(const ModelConfig& config) {
  return config.per_layer_width > 0 ? ChatSize::kSmall : ChatSize::kLarge;
}

std::string shown(const TemplateRevision& revision) {
  return std::string(revision.name) + " for the " + (revision.size == ChatSize::kSmall ? "small" : "large") + " models";
}

Result<ChatFormat> described(Result<ChatFormat> format, std::string description) {
  if (format.ok()) format->set_description(std::move(description));
  return format;
}

Result<ChatFormat> probed_format(const Tokenizer& tokenizer, const Vocabulary& vocabulary, const std::string& source) {
  const Result<JinjaTemplate> chat_template =
      JinjaTemplate::parse(vocabulary.chat_template, source + ": chat template");
  if (!chat_template.ok()) return refused(chat_template.error().message + "; " + kForced);
  const ProbeOutcome outcome = probe_template(*chat_template);
  if (!outcome.turns) {
    return refused(source + ": the chat template is none of Google's and does not write Gemma 4's turns: " +
                   outcome.difference + "; " + kForced);
  }
  TemplateRevision revision = *outcome.revision;
  revision.can_keep_thoughts = outcome.kept_thoughts;
  CARAT_TRY(ChatFormat format, ChatFormat::create(tokenizer, vocabulary, revision));
  std::string exceptions;
  const auto except = [&](const char* what) {
    exceptions += (exceptions.empty() ? ", but for " : " and ") + std::string(what);
    return std::string("the file's own chat template does not write ") + what + " as Gemma 4 does; " + kForced;
  };
  if (!outcome.thinking) format.refuse_thinking(except("thinking"));
  if (!outcome.tools) format.refuse_tools(except("tools"));
  format.set_description("the file's chat template is none of Google's; it writes what theirs of " +
                         shown(*outcome.revision) + " does" + exceptions);
  return format;
}

}  // namespace

Result<ChatTemplateChoice> chat_template_choice(const std::string& name) {
  if (name == "auto") return ChatTemplateChoice::kAuto;
  if (name == "gemma4") return ChatTemplateChoice::kGemma4;
  return wrong_usage("--chat-template: expected auto or gemma4, found " + in_quotes(name));
}

Result<ChatFormat> choose_chat_format(const Tokenizer& tokenizer, const Vocabulary& vocabulary,
                                      const ModelConfig& config, ChatTemplateChoice choice, const std::string& source) {
  const TemplateRevision& latest = latest_revision(chat_size(config));
  if (choice == ChatTemplateChoice::kGemma4) {
    return described(ChatFormat::create(tokenizer, vocabulary, latest),
                     "--chat-template gemma4: the chat format of Google's template of " + shown(latest));
  }
  if (vocabulary.chat_template.empty()) {
    return described(ChatFormat::create(tokenizer, vocabulary, latest),
                     "the file has no chat template; that of " + shown(latest) + " is taken");
  }
  if (const TemplateRevision* known = recognise_template(vocabulary.chat_template)) {
    return described(ChatFormat::create(tokenizer, vocabulary, *known), "Google's chat template of " + shown(*known));
  }
  return probed_format(tokenizer, vocabulary, source);
}

}  // namespace carat
