#include "text/chat_declaration.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "base/ascii.h"
#include "text/chat_grammar.h"
#include "text/chat_values.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kObject = "OBJECT";
constexpr std::array<std::string_view, 5> kSchemaWords = {"description", "type", "properties", "required", "nullable"};

// The member of that name that counts for a template: none of another kind, and no empty one.
const Json* member(const Json& schema, const char* name, bool (*is_kind)(const Json&)) {
  const auto found = schema.find(name);
  return found == schema.end() || !is_kind(*found) || found->empty() ? nullptr : &*found;
}

bool is_text(const Json& json) { return json.is_string() && !json.get_ref<const std::string&>().empty(); }
bool is_list(const Json& json) { return json.is_array(); }
bool is_object(const Json& json) { return json.is_object(); }
bool is_true(const Json& json) { return json.is_boolean() && json.get<bool>(); }

// What a template prints for a schema's type: a list of types as Python prints a list.
std::string type_text(const Json& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return {};
  if (type->is_string()) return to_upper(type->get_ref<const std::string&>());
  if (!type->is_array()) return to_upper(type->is_null() ? kPythonNull : type->dump());
  std::string text;
  for (const Json& item : *type) {
    text += text.empty() ? "" : ", ";
    text += item.is_string() ? "'" + to_upper(item.get_ref<const std::string&>()) + "'" : to_upper(item.dump());
  }
  return "[" + text + "]";
}

// The members of one braced object, with commas between them.
class Members {
 public:
  explicit Members(ChatText& out) : out_(out) { out_ << kObjectOpen; }

  ChatText& next(std::string_view key) {
    if (any_) out_ << kSeparator;
    any_ = true;
    return out_ << key << kKeyEnd;
  }
  // As the template of the launch does where it leaves the commas to themselves.
  ChatText& next_after_comma(std::string_view key) { return out_ << kSeparator << key << kKeyEnd; }
  void quoted(std::string_view key, std::string_view text) {
    next(key) << ChatPiece::kQuote << text << ChatPiece::kQuote;
  }
  void close() { out_ << kObjectClose; }

 private:
  ChatText& out_;
  bool any_ = false;
};

class DeclarationWriter {
 public:
  DeclarationWriter(const TemplateRevision& revision, ChatText& out)
      : style_(revision.declarations), values_({.quotes_keys = true, .writes_null = revision.writes_null}), out_(out) {}

  void write(const ToolDeclaration& tool) {
    out_ << ChatPiece::kToolOpen << kDeclarationWord << tool.name;
    Members members(out_);
    members.quoted("description", tool.description);
    if (!tool.parameters.empty()) {
      members.next("parameters");
      write_arguments(tool.parameters);
    }
    members.close();
    out_ << ChatPiece::kToolClose;
  }

 private:
  void write_arguments(const Json& schema) {
    Members members(out_);
    if (const Json* properties = member(schema, "properties", is_object)) {
      members.next("properties");
      write_properties(*properties, false);
    }
    if (const Json* required = member(schema, "required", is_list)) {
      members.next("required");
      write_names(*required);
    }
    members.quoted("type", kObject);
    members.close();
  }

  // `schema_itself`: the members are those of a schema that has no properties.
  void write_properties(const Json& properties, bool schema_itself) {
    const bool filtered = schema_itself || style_ != DeclarationStyle::kComplete;
    Members members(out_);
    for (const auto& [name, schema] : sorted_members(properties)) {
      if (filtered && std::ranges::find(kSchemaWords, name) != kSchemaWords.end()) continue;
      members.next(name);
      write_parameter(schema->is_object() ? *schema : Json::object());
    }
    members.close();
  }

  void write_parameter(const Json& schema) {
    const bool launch = style_ == DeclarationStyle::kLaunch;
    const std::string type = type_text(schema);
    Members members(out_);
    if (const Json* description = member(schema, "description", is_text)) {
      members.quoted("description", description->get_ref<const std::string&>());
    }
    if (launch) write_nullable(schema, members);
    if (const Json* names = member(schema, "enum", is_list); names != nullptr && type == "STRING") {
      write_value(*names, values_, members.next("enum"));
    }
    if (const Json* items = member(schema, "items", is_object); items != nullptr && type == "ARRAY") {
      launch ? members.next_after_comma("items") : members.next("items");
      write_items(*items);
    }
    if (!launch) write_nullable(schema, members);
    if (type == kObject) write_nested(schema, members);
    members.quoted("type", type);
    members.close();
  }

  void write_nullable(const Json& schema, Members& members) {
    if (member(schema, "nullable", is_true) != nullptr) members.next("nullable") << kTrue;
  }

  void write_nested(const Json& schema, Members& members) {
    const auto next = [&](std::string_view key) {
      style_ == DeclarationStyle::kLaunch ? members.next_after_comma(key) : members.next(key);
    };
    const auto properties = schema.find("properties");
    const bool has_properties = properties != schema.end() && properties->is_object();
    next("properties");
    write_properties(has_properties ? *properties : schema, !has_properties);
    if (const Json* required = member(schema, "required", is_list)) {
      next("required");
      write_names(*required);
    }
  }

  void write_items(const Json& items) {
    Members members(out_);
    for (const auto& [key, value] : sorted_members(items)) {
      if (value->is_null()) continue;
      members.next(key);
      if (key == "properties") {
        write_properties(value->is_object() ? *value : Json::object(), false);
      } else if (key == "required") {
        write_names(*value);
      } else if (key == "type") {
        write_value(upper_types(*value), values_, out_);
      } else {
        write_value(*value, values_, out_);
      }
    }
    members.close();
  }

  static Json upper_types(const Json& type) {
    if (type.is_string()) return to_upper(type.get_ref<const std::string&>());
    Json types = Json::array();
    for (const Json& item : type) types.push_back(to_upper(item.is_string() ? item.get<std::string>() : item.dump()));
    return types;
  }

  void write_names(const Json& names) {
    out_ << kListOpen;
    std::string_view separator;
    for (const Json& name : names) {
      out_ << separator << ChatPiece::kQuote << (name.is_string() ? name.get<std::string>() : name.dump())
           << ChatPiece::kQuote;
      separator = kSeparator;
    }
    out_ << kListClose;
  }

  DeclarationStyle style_;
  ValueStyle values_;
  ChatText& out_;
};

}  // namespace

void write_declaration(const ToolDeclaration& tool, const TemplateRevision& revision, ChatText& out) {
  DeclarationWriter(revision, out).write(tool);
}

}  // namespace carat
