#include "text/chat_probe.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "text/chat_writer.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownBytes = 40;

enum class Part { kTurns, kThinking, kTools, kKeptThoughts };

struct Probe {
  Part part;
  std::vector<ChatMessage> messages;
  ChatOptions options;
  bool wants_answer = true;
};

ChatMessage system(std::string text) { return {.role = ChatRole::kSystem, .text = std::move(text)}; }
ChatMessage user(std::string text) { return {.role = ChatRole::kUser, .text = std::move(text)}; }
ChatMessage model(std::string text, std::string thought = {}, std::vector<ToolCall> calls = {}) {
  return {.role = ChatRole::kModel, .text = std::move(text), .thought = std::move(thought), .calls = std::move(calls)};
}
ChatMessage result(std::string call_id, Json value) {
  return {.role = ChatRole::kTool, .call_id = std::move(call_id), .result = std::move(value)};
}

std::vector<ToolDeclaration> probe_tools() {
  const Json place = {
      {"type", "object"},
      {"required", {"name"}},
      {"properties", {{"name", {{"type", "string"}}}, {"Zone", {{"type", "integer"}, {"nullable", true}}}}}};
  const Json parameters = {{"type", "object"},
                           {"properties",
                            {{"unit", {{"type", "string"}, {"description", "The unit."}, {"enum", {"C", "F"}}}},
                             {"place", place},
                             {"type", {{"type", "string"}}},
                             {"days", {{"type", "array"}, {"items", {{"type", "number"}}}, {"nullable", true}}}}},
                           {"required", {"place"}}};
  return {{.name = "get_weather", .description = "The weather.", .parameters = parameters},
          {.name = "now", .description = "The time."}};
}

std::vector<Probe> probes() {
  const ChatMessage ask = user(" How is the weather? \n");
  const ToolCall weather = {
      "get_weather", {{"place", {{"Zone", nullptr}, {"name", "Bern"}}}, {"days", {1, 2.5}}, {"exact", true}}, "call 1"};
  const ChatMessage calling = model("", "I look.", {weather, {"now", Json::object(), "call 2"}});
  const std::vector<ChatMessage> turns = {system("\tBe kind.\n"), user(" Hello. "), model(" Hi!\n\n"), user("Well?")};
  const std::vector<ChatMessage> step = {ask, calling, result("call 2", "noon"), result("call 1", "sunny")};
  std::vector<ChatMessage> finished = step;
  finished.insert(finished.end(), {model("It is sunny.", "I say so."), user("Thanks.")});
  const ChatOptions tools = {.tools = probe_tools()};
  return {
      {Part::kTurns, turns, {}},
      {Part::kTurns, turns, {}, false},
      {Part::kTurns, {user("Hello.")}, {}},
      {Part::kThinking, turns, {.thinking = true}},
      {Part::kThinking, {user("Hello."), model("Hi.", "They greet."), user("Well?")}, {.thinking = true}},
      {Part::kThinking, {user("Hello."), model("Hi.", "They greet.")}, {.thinking = true}, false},
      {Part::kTools, {system("Be kind."), ask}, tools},
      {Part::kTools, step, tools},
      {Part::kTools, finished, tools},
      {Part::kTools, {ask, calling}, tools, false},
      {Part::kKeptThoughts, finished, {.thinking = true, .keep_thoughts = true}},
  };
}

Json calls_json(const ChatMessage& message, size_t index) {
  Json calls = Json::array();
  for (const ToolCall& call : message.calls) {
    const std::string id =
        call.id.empty() ? "call " + std::to_string(index) + " " + std::to_string(calls.size()) : call.id;
    calls.push_back(
        {{"id", id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return calls;
}

Json message_json(const ChatMessage& message, size_t index) {
  const std::string_view role = message.role == ChatRole::kModel ? "assistant" : chat_role_name(message.role);
  Json json = {{"role", role}, {"content", message.text}};
  if (message.role != ChatRole::kModel) return json;
  if (!message.calls.empty()) json["tool_calls"] = calls_json(message, index);
  if (!message.thought.empty()) json["reasoning_content"] = message.thought;
  return json;
}

Json messages_json(std::span<const ChatMessage> messages, bool results_inside) {
  Json all = Json::array();
  const ChatMessage* caller = nullptr;
  for (size_t index = 0; index < messages.size(); ++index) {
    const ChatMessage& message = messages[index];
    if (message.role != ChatRole::kTool || caller == nullptr) {
      all.push_back(message_json(message, index));
      caller = &message;
      continue;
    }
    const std::string_view name = result_name(message, *caller);
    if (results_inside) {
      all.back()["tool_responses"].push_back({{"name", name}, {"response", message.result}});
    } else {
      const std::string& id = message.call_id;
      all.push_back(
          {{"role", "tool"}, {"name", name}, {"tool_call_id", id.empty() ? "none" : id}, {"content", message.result}});
    }
  }
  return all;
}

Json tools_json(const std::vector<ToolDeclaration>& tools) {
  if (tools.empty()) return nullptr;
  Json all = Json::array();
  for (const ToolDeclaration& tool : tools) {
    Json function = {{"name", tool.name}, {"description", tool.description}};
    if (!tool.parameters.empty()) function["parameters"] = tool.parameters;
    all.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return all;
}

std::string quoted_front(std::string_view text) {
  const std::string front = to_valid_utf8(text.substr(0, kShownBytes));
  return Json(front).dump(-1, ' ', true) + (text.size() > kShownBytes ? "..." : "");
}

std::string difference(std::string_view found, std::string_view expected) {
  const size_t limit = std::min(found.size(), expected.size());
  const auto part = std::mismatch(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(limit), expected.begin());
  const auto at = static_cast<size_t>(part.first - found.begin());
  return "at byte " + std::to_string(at) + " of a probe it writes " + quoted_front(found.substr(at)) + ", expected " +
         quoted_front(expected.substr(at));
}

// What the template writes for a probe, in both forms of results.
struct Rendered {
  Probe probe;
  std::array<Result<std::string>, 2> texts;  // [results_inside]
};

Rendered render_probe(const JinjaTemplate& chat_template, Probe probe) {
  const auto render = [&](bool inside) {
    return chat_template.render(chat_variables(probe.messages, probe.options, probe.wants_answer, inside));
  };
  const bool has_results =
      std::ranges::any_of(probe.messages, [](const ChatMessage& message) { return message.role == ChatRole::kTool; });
  Result<std::string> outside = render(false);
  Result<std::string> inside = has_results ? render(true) : outside;
  return {std::move(probe), {std::move(outside), std::move(inside)}};
}

// Up to the first turns that cannot be rendered: nothing counts without them, and each rendering may take all the work
// that a template is allowed.
std::vector<Rendered> render_probes(const JinjaTemplate& chat_template) {
  std::vector<Rendered> rendered;
  for (Probe& probe : probes()) {
    const Rendered& last = rendered.emplace_back(render_probe(chat_template, std::move(probe)));
    if (last.probe.part == Part::kTurns && !last.texts[0].ok()) break;
  }
  return rendered;
}

bool& part_of(ProbeOutcome& outcome, Part part) {
  switch (part) {
    case Part::kTurns:
      return outcome.turns;
    case Part::kThinking:
      return outcome.thinking;
    case Part::kTools:
      return outcome.tools;
    case Part::kKeptThoughts:
      return outcome.kept_thoughts;
  }
  return outcome.turns;
}

ProbeOutcome compare(const std::vector<Rendered>& rendered, const TemplateRevision& revision) {
  ProbeOutcome outcome = {.revision = &revision,
                          .turns = true,
                          .thinking = true,
                          .tools = true,
                          .kept_thoughts = revision.can_keep_thoughts,
                          .difference = {}};
  for (const auto& [probe, texts] : rendered) {
    if (probe.options.keep_thoughts && !revision.can_keep_thoughts) continue;
    const std::string expected =
        write_chat(probe.messages, probe.options, probe.wants_answer, revision).value().spelled();
    const Result<std::string>& text = texts[revision.joins_turns ? 0 : 1];
    if (text.ok() && *text == expected) continue;
    if (probe.part == Part::kTurns && outcome.difference.empty()) {
      outcome.difference = text.ok() ? difference(*text, expected) : "a probe gives: " + text.error().message;
    }
    part_of(outcome, probe.part) = false;
  }
  return outcome;
}

int agreement(const ProbeOutcome& outcome) {
  if (!outcome.turns) return 0;
  return 1 + (outcome.tools ? 1 : 0) + (outcome.thinking ? 1 : 0) + (outcome.kept_thoughts ? 1 : 0);
}

}  // namespace

Json chat_variables(std::span<const ChatMessage> messages, const ChatOptions& options, bool wants_answer,
                    bool results_inside) {
  return {{"messages", messages_json(messages, results_inside)},
          {"tools", tools_json(options.tools)},
          {"add_generation_prompt", wants_answer},
          {"enable_thinking", options.thinking},
          {"preserve_thinking", options.keep_thoughts},
          {"bos_token", "<bos>"},
          {"eos_token", "<eos>"}};
}

ProbeOutcome probe_template(const JinjaTemplate& chat_template) {
  const std::vector<Rendered> rendered = render_probes(chat_template);
  ProbeOutcome best;
  for (const TemplateRevision& revision : template_revisions()) {
    ProbeOutcome outcome = compare(rendered, revision);
    if (best.revision == nullptr || agreement(outcome) >= agreement(best)) best = std::move(outcome);
  }
  return best;
}

}  // namespace carat
