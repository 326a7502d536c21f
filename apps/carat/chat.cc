#include "chat.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/file_map.h"
#include "chat_loop.h"
#include "commands.h"
#include "conversation.h"
#include "introduction.h"
#include "loaded_model.h"
#include "session/stop_strings.h"
#include "text/chat_template.h"

namespace carat {
namespace {

constexpr size_t kLargestToolsFile = size_t{1} << 20;

Result<std::vector<ToolDeclaration>> read_tools(const ChatFlags& flags) {
  if (flags.tools.empty()) return std::vector<ToolDeclaration>();
  CARAT_TRY(const std::string text, read_text_file(flags.tools, kLargestToolsFile));
  Result<std::vector<ToolDeclaration>> tools = tools_from_json(text, flags.tools.string());
  if (!tools.ok()) return refused(tools.error().message);
  return tools;
}

bool somebody_types() { return isatty(STDIN_FILENO) == 1; }

Result<std::optional<LineEditor>> create_editor(ChatSignals signals) {
  if (!somebody_types()) return std::optional<LineEditor>();
  CARAT_TRY(LineEditor editor, LineEditor::create(chat_history_path(), signals));
  return std::optional<LineEditor>(std::move(editor));
}

ViewOptions view_options() {
  const bool terminal = is_terminal(STDOUT_FILENO);
  return {
      .terminal = terminal, .styles = terminal && styles_wanted(), .size = [] { return terminal_size(STDOUT_FILENO); }};
}

Status begin(Conversation& conversation, const ChatFlags& flags) {
  ChatOptions options{.thinking = flags.think};
  CARAT_TRY(options.tools, read_tools(flags));
  return conversation.set(first_messages(flags), std::move(options));
}

}  // namespace

Result<ChatFormat> find_chat_format(const ChatFlags& flags, const Model& model, const Tokenizer& tokenizer) {
  CARAT_TRY(const ChatTemplateChoice choice, chat_template_choice(flags.generation.chat_template));
  return choose_chat_format(tokenizer, model.vocabulary(), model.config(), choice, flags.model.model.string());
}

std::vector<ChatMessage> first_messages(const ChatFlags& flags) {
  if (flags.system.empty()) return {};
  return {{.role = ChatRole::kSystem, .text = flags.system}};
}

Status run_chat(const ChatFlags& flags) {
  if (!flags.tools.empty() && !somebody_types()) {
    return wrong_usage("--tools needs a terminal, where somebody types the results");
  }
  if (const auto stop = StopStrings::create(flags.generation.stop); !stop.ok()) return stop.error();
  CARAT_TRY(const LoadedModel loaded, load_model(flags.model, flags.generation));
  CARAT_TRY(const ChatFormat format, find_chat_format(flags, *loaded.model, *loaded.tokenizer));
  Conversation conversation(*loaded.session, *loaded.tokenizer, format);
  CARAT_TRY_STATUS(begin(conversation, flags));

  ChatLoopOptions options;
  options.limits = {.tokens = flags.generation.tokens.value_or(loaded.session->context()),
                    .batch = loaded.model->batch(),
                    .stop = flags.generation.stop};
  options.view = view_options();
  options.introduction = introduction(loaded, format);
  std::fputs(options.introduction.c_str(), stderr);
  const ChatSignals signals = watch_chat_signals();
  CARAT_TRY(std::optional<LineEditor> editor, create_editor(signals));
  return ChatLoop(conversation, MessageReader(std::move(editor), signals), signals, std::move(options)).run();
}

void add_chat_command(CLI::App& app, Work& chosen) {
  const auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = app.add_subcommand("chat", "Chats in a terminal, or line by line from a pipe");
  add_model_options(*command, flags->model);
  command->add_option("-s,--system", flags->system, "What the conversation begins with")->type_name("TEXT");
  command->add_flag("--think", flags->think, "Let the model think before it answers");
  command->add_option("--tools", flags->tools, "Tools that the model may ask for; you type the results")
      ->type_name("FILE.json");
  add_generation_options(*command, flags->generation);
  command->footer(
      "In the chat, /help lists commands; Ctrl-C stops an answer, Ctrl-D leaves.\n"
      "-n is as many as the context holds when it is not given.\n"
      "What is not given of --temp, --top-k and --top-p is as the model's own configuration says.");
  command->callback([flags, &chosen] { chosen = [flags] { return run_chat(*flags); }; });
}

}  // namespace carat
