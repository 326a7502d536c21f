#include "formats/gemma_rules.h"

#include <re2/re2.h>

#include <algorithm>
#include <memory>

#include "formats/json_fields.h"
#include "formats/pattern_effort.h"
#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::ordered_json;
using re2::RE2;
using re2::StringPiece;

constexpr const char* kRules = "module_quant_configs";
constexpr const char* kExceptions = "modules_to_not_convert";
constexpr const char* kBits = "num_bits";
constexpr int kDefaultBits = 4;

// Published files have about a dozen short ones; those that name every layer by its number are longer.
constexpr size_t kMostPatterns = 128;
constexpr size_t kLongestPattern = 8192;
constexpr int64_t kPatternMemory = 1 << 19;

Error not_usable(const std::string& source, const std::string& key, const std::string& message) {
  return refused(source + ": quantization_config." + key + ": " + message);
}

Result<std::unique_ptr<RE2>> compile(const std::string& pattern, const std::string& around, const std::string& source,
                                     const char* key) {
  if (pattern.size() > kLongestPattern) {
    return not_usable(source, key,
                      "the pattern " + in_quotes(pattern) + " has " + std::to_string(pattern.size()) +
                          " bytes, expected at most " + std::to_string(kLongestPattern));
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto alone = std::make_unique<RE2>(pattern, options);
  if (!alone->ok()) {
    return not_usable(source, key,
                      "the pattern " + in_quotes(pattern) + " cannot be used: " + printable(alone->error()));
  }
  if (around.empty()) return alone;
  auto whole = std::make_unique<RE2>("(?:" + pattern + ")" + around, options);
  if (!whole->ok()) return not_usable(source, key, "the pattern " + in_quotes(pattern) + " is too large");
  return whole;
}

uint64_t instructions_of(const RE2& expression) { return static_cast<uint64_t>(expression.ProgramSize()); }

Result<int> checked_bits(int64_t bits, const std::string& source, const std::string& key) {
  if (bits == 2 || bits == 4 || bits == 8) return static_cast<int>(bits);
  return not_usable(source, key, "expected 2, 4 or 8, found " + std::to_string(bits));
}

/// The bits of one rule: those of its `num_bits`, or the default.
Result<int> bits_of_rule(const std::string& pattern, const nlohmann::json& options, int fallback,
                         const std::string& source) {
  const std::string key = std::string(kRules) + "[" + in_quotes(pattern) + "]";
  if (!options.is_object()) return not_usable(source, key, "expected an object, found " + described(options));
  for (const auto& [name, value] : options.items()) {
    if (name != kBits) return not_usable(source, key, in_quotes(name) + " is not known; expected num_bits");
  }
  CARAT_TRY(const int64_t bits,
            JsonFields(options, source, "quantization_config." + key + ".").integer(kBits, fallback));
  return checked_bits(bits, source, key + "." + kBits);
}

}  // namespace

struct GemmaRules::Rule {
  std::string pattern;
  std::unique_ptr<RE2> expression;
  int bits;

  /// Where the pattern is found first; nothing when it is not there.
  std::optional<size_t> found_at(const std::string& name) const {
    StringPiece found;
    if (!expression->Match(name, 0, name.size(), RE2::UNANCHORED, &found, 1)) return std::nullopt;
    return static_cast<size_t>(found.data() - name.data());
  }
};

struct GemmaRules::Exception {
  std::string name;
  std::unique_ptr<RE2> up_to_dot;  // the name's begin, up to a dot or the end
  std::unique_ptr<RE2> alone;

  bool covers(const std::string& module) const {
    return module.ends_with(name) || up_to_dot->Match(module, 0, module.size(), RE2::ANCHOR_START, nullptr, 0) ||
           covers_with_dot(module);
  }

  /// The expression may itself end with the dot.
  bool covers_with_dot(const std::string& module) const {
    for (size_t dot = module.find('.'); dot != std::string::npos; dot = module.find('.', dot + 1)) {
      if (RE2::FullMatch(StringPiece(module.data(), dot + 1), *alone)) return true;
    }
    return false;
  }
};

GemmaRules::GemmaRules() = default;
GemmaRules::GemmaRules(GemmaRules&&) noexcept = default;
GemmaRules::~GemmaRules() = default;

Status GemmaRules::add_rules(const ordered_json& rules, const std::string& source) {
  if (!rules.is_object())
    return not_usable(source, kRules, std::string("expected an object, found ") + rules.type_name());
  if (rules.size() > kMostPatterns) {
    return not_usable(source, kRules,
                      std::to_string(rules.size()) + " patterns, expected at most " + std::to_string(kMostPatterns));
  }
  for (const auto& [pattern, options] : rules.items()) {
    CARAT_TRY(auto expression, compile(pattern, "", source, kRules));
    CARAT_TRY(const int bits, bits_of_rule(pattern, nlohmann::json(options), default_bits_, source));
    rules_.push_back({pattern, std::move(expression), bits});
  }
  return success();
}

Status GemmaRules::add_exceptions(const ordered_json& names, const std::string& source) {
  if (!names.is_array()) {
    return not_usable(source, kExceptions, std::string("expected an array, found ") + names.type_name());
  }
  if (names.size() > kMostPatterns) {
    return not_usable(source, kExceptions,
                      std::to_string(names.size()) + " names, expected at most " + std::to_string(kMostPatterns));
  }
  for (const ordered_json& entry : names) {
    if (!entry.is_string()) {
      return not_usable(source, kExceptions, std::string("expected names of modules, found ") + entry.type_name());
    }
    const auto& name = entry.get_ref<const std::string&>();
    CARAT_TRY(auto up_to_dot, compile(name, R"((?:\.|$))", source, kExceptions));
    CARAT_TRY(auto alone, compile(name, "", source, kExceptions));
    exceptions_.push_back({name, std::move(up_to_dot), std::move(alone)});
  }
  return success();
}

Result<GemmaRules> GemmaRules::read(const ordered_json& quantization, const std::string& source) {
  const nlohmann::json plain(quantization);
  const JsonFields fields(plain, source, "quantization_config.");
  GemmaRules rules;
  CARAT_TRY(const int64_t bits, fields.integer(kBits, kDefaultBits));
  CARAT_TRY(rules.default_bits_, checked_bits(bits, source, kBits));
  CARAT_TRY(rules.quantize_embeddings_, fields.flag("quantize_embeddings", false));
  if (fields.has(kRules)) CARAT_TRY_STATUS(rules.add_rules(quantization[kRules], source));
  // Without a list transformers leaves the head as it is.
  const ordered_json exceptions = fields.has(kExceptions) ? quantization[kExceptions] : ordered_json{"lm_head"};
  CARAT_TRY_STATUS(rules.add_exceptions(exceptions, source));
  return rules;
}

Status GemmaRules::check_effort(size_t characters, const std::string& source) const {
  // The parts of a name up to each of its dots have together a few times its characters.
  constexpr uint64_t kParts = 4;
  uint64_t instructions = 0;
  for (const Rule& rule : rules_) instructions += 2 * instructions_of(*rule.expression);
  for (const Exception& exception : exceptions_) {
    instructions += instructions_of(*exception.up_to_dot) + kParts * instructions_of(*exception.alone);
  }
  return check_pattern_effort(instructions, characters, source + ": quantization_config");
}

std::optional<int> GemmaRules::bits_of_linear(const std::string& module) const {
  if (std::ranges::any_of(exceptions_, [&](const Exception& exception) { return exception.covers(module); })) {
    return std::nullopt;
  }
  int bits = default_bits_;
  std::optional<size_t> first;
  for (const Rule& rule : rules_) {
    const auto found = rule.found_at(module);
    if (!found || (first && *first <= *found)) continue;
    first = found;
    bits = rule.bits;
  }
  return bits;
}

std::optional<int> GemmaRules::bits_of_embedding(const std::string& module) const {
  return quantize_embeddings_ ? bits_of_linear(module) : std::nullopt;
}

std::vector<std::string> GemmaRules::unused_patterns(const std::set<std::string>& modules) const {
  std::vector<std::string> unused;
  for (const Rule& rule : rules_) {
    const bool used =
        std::ranges::any_of(modules, [&](const std::string& name) { return rule.found_at(name).has_value(); });
    if (!used) unused.push_back(rule.pattern);
  }
  return unused;
}

}  // namespace carat
