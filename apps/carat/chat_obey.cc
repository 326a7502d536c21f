// What the commands of a chat do.

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "base/memory.h"
#include "chat_file.h"
#include "chat_loop.h"
#include "figures.h"
#include "output.h"

namespace carat {
namespace {

std::string counted(size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

bool begins_with_system(const std::vector<ChatMessage>& messages) {
  return !messages.empty() && messages.front().role == ChatRole::kSystem;
}

/// As a shell reads it: a ~ before the first slash is the home folder.
std::string file_name(const std::string& typed) {
  const char* home = std::getenv("HOME");
  return typed.starts_with("~/") && home != nullptr ? home + typed.substr(1) : typed;
}

}  // namespace

Status ChatLoop::obey(const ChatCommand& command) {
  switch (command.verb) {
    case ChatVerb::kHelp:
      std::fputs(chat_command_help().c_str(), stderr);
      return success();
    case ChatVerb::kClear:
      return clear();
    case ChatVerb::kSystem:
      return change_system(command.argument);
    case ChatVerb::kThink:
      return change_thinking(command.argument);
    case ChatVerb::kThoughts:
      show_thoughts();
      return success();
    case ChatVerb::kStats:
      show_stats();
      return success();
    case ChatVerb::kSave:
      return save(file_name(command.argument));
    case ChatVerb::kLoad:
      return load(file_name(command.argument));
    case ChatVerb::kRegenerate:
      return regenerate();
    case ChatVerb::kUndo:
      return undo();
    case ChatVerb::kExit:
      break;  // ChatLoop::run has seen it
  }
  return success();
}

Status ChatLoop::clear() {
  CARAT_TRY_STATUS(conversation_.set(system_message(), conversation_.options()));
  write_note(conversation_.messages().empty() ? "a new conversation" : "a new conversation; the system text stays");
  return success();
}

Status ChatLoop::change_system(const std::string& text) {
  std::vector<ChatMessage> messages = conversation_.messages();
  if (begins_with_system(messages)) messages.erase(messages.begin());
  if (!text.empty()) messages.insert(messages.begin(), {.role = ChatRole::kSystem, .text = text});
  CARAT_TRY_STATUS(conversation_.set(std::move(messages), conversation_.options()));
  write_note(text.empty() ? "no system text" : "the system text counts from the next message on");
  return success();
}

Status ChatLoop::change_thinking(const std::string& how) {
  if (how == "fold" || how == "unfold") {
    options_.view.fold = how == "fold";
    write_note(options_.view.fold ? "finished thoughts become one line" : "finished thoughts stay whole");
    return success();
  }
  if (how != "on" && how != "off") return wrong_usage("/think: expected on, off, fold or unfold, found " + how);
  ChatOptions options = conversation_.options();
  options.thinking = how == "on";
  CARAT_TRY_STATUS(conversation_.set(conversation_.messages(), std::move(options)));
  write_note(conversation_.options().thinking ? "the model thinks before it answers" : "the model answers at once");
  return success();
}

void ChatLoop::show_thoughts() const {
  if (last_thought_.empty()) {
    write_note("no thoughts so far");
    return;
  }
  std::fputs(thought_text(last_thought_, options_.view).c_str(), stderr);
}

void ChatLoop::show_stats() const {
  std::fputs(options_.introduction.c_str(), stderr);
  write_note("conversation: " + counted(conversation_.messages().size(), "message") + ", context " +
             std::to_string(conversation_.position()) + " of " + std::to_string(conversation_.context()) +
             " positions, keys and values " + bytes_text(conversation_.cache_bytes()) + ", peak memory " +
             bytes_text(peak_rss_bytes()));
  if (!last_figures_.empty()) write_note("last answer: " + last_figures_);
}

Status ChatLoop::save(const std::string& path) const {
  CARAT_TRY_STATUS(save_chat(path, conversation_.messages()));
  write_note(counted(conversation_.messages().size(), "message") + " saved");
  return success();
}

Status ChatLoop::load(const std::string& path) {
  CARAT_TRY(std::vector<ChatMessage> messages, load_chat(path));
  const std::string count = counted(messages.size(), "message");
  const Status taken = conversation_.set(std::move(messages), conversation_.options());
  if (!taken.ok()) return refused(path + ": " + taken.error().message);
  write_note(count + " loaded; the model reads them with the next one");
  return success();
}

Status ChatLoop::regenerate() {
  if (!conversation_.take_back_answer()) return wrong_usage("there is no message to answer yet");
  return answer();
}

Status ChatLoop::undo() {
  if (!conversation_.take_back_turn()) return wrong_usage("there is no message to take back");
  write_note("the last message is taken back");
  return success();
}

std::vector<ChatMessage> ChatLoop::system_message() const {
  const std::vector<ChatMessage>& messages = conversation_.messages();
  if (!begins_with_system(messages)) return {};
  return {messages.front()};
}

}  // namespace carat
