#include "formats/compressed_tensors_rules.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "base/ascii.h"
#include "formats/quote.h"

namespace carat {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPatternPrefix = "re:";

// What hostile patterns can cost: together less than a gigabyte, and seconds to compile.
constexpr size_t kMostPatterns = 1024;
constexpr int64_t kPatternMemory = 512 << 10;

constexpr std::string_view kPackQuantized = "pack-quantized";
constexpr std::string_view kIntQuantized = "int-quantized";

// The classes from which PyTorch's linear layers and transformers' embeddings of Gemma 4 derive.
constexpr std::string_view kLinearClasses[] = {"Linear", "Module"};
constexpr std::string_view kEmbeddingClasses[] = {"Gemma4TextScaledWordEmbedding", "Embedding", "Module"};

std::span<const std::string_view> classes_of(ModuleClass module_class) {
  if (module_class == ModuleClass::kLinear) return kLinearClasses;
  return kEmbeddingClasses;
}

std::string found_text(const Json& value) {
  if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
  return value.is_number() || value.is_boolean() ? value.dump() : value.type_name();
}

/// Typed access to the members of an object. A member that is null counts as absent.
class Members {
 public:
  static Result<Members> of(const Json& value, std::string place) {
    if (value.is_object()) return Members(value, std::move(place));
    return refused(place + ": found " + found_text(value) + ", expected an object");
  }

  std::string place_of(std::string_view key) const { return place_ + "." + printable(key); }

  /// Null when it is absent.
  const Json* find(std::string_view key) const {
    const auto found = object_->find(key);
    return found == object_->end() || found->is_null() ? nullptr : &*found;
  }

  Error refusal(std::string_view key, std::string_view expected) const {
    const Json* found = find(key);
    return refused(place_of(key) + ": found " + (found == nullptr ? "nothing" : found_text(*found)) + ", expected " +
                   std::string(expected));
  }

  Result<std::optional<std::string>> text(std::string_view key) const {
    const Json* found = find(key);
    if (found == nullptr) return std::optional<std::string>();
    if (!found->is_string()) return refusal(key, "a string");
    return std::optional(found->get<std::string>());
  }

  Result<int64_t> integer(std::string_view key, int64_t otherwise) const {
    const Json* found = find(key);
    if (found == nullptr) return otherwise;
    const bool too_large = found->is_number_unsigned() && found->get<uint64_t>() > INT64_MAX;
    if (!found->is_number_integer() || too_large) return refusal(key, "an integer");
    return found->get<int64_t>();
  }

  Status refuse_unless(std::string_view key, bool wanted, std::string_view expected) const {
    if (wanted) return success();
    return refusal(key, expected);
  }

  Status refuse_others(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : object_->items()) {
      if (std::ranges::find(known, std::string_view(key)) != known.end()) continue;
      return refused(place_of(key) + ": is no member that compressed-tensors knows");
    }
    return success();
  }

 private:
  Members(const Json& object, std::string place) : object_(&object), place_(std::move(place)) {}

  const Json* object_;
  std::string place_;
};

/// What is left of the package's QuantizationArgs when they are symmetric static integers.
struct IntegerArgs {
  int64_t bits = 8;
  int64_t group_size = -1;  // at least 1 for the strategy "group"
  std::string strategy;
};

/// The strategy that the group size stands for where no strategy is named.
Result<std::string> strategy_of(const Members& args, int64_t group_size) {
  CARAT_TRY(const std::optional<std::string> named, args.text("strategy"));
  if (named) return to_lower(*named);
  if (args.find("group_size") == nullptr) return std::string("tensor");
  return std::string(group_size > 0 ? "group" : "channel");
}

/// Activation order only matters to a file when columns are permuted, which "weight" does not.
Status check_order(const Members& args) {
  const Json* order = args.find("actorder");
  if (order == nullptr || (order->is_boolean() && !order->get<bool>())) return success();
  const bool by_weight = order->is_string() && (*order == "weight" || *order == "static");
  return args.refuse_unless("actorder", by_weight, "null or \"weight\"; columns in another order are not supported");
}

Result<IntegerArgs> read_args(const Json& json, const std::string& place) {
  CARAT_TRY(const Members args, Members::of(json, place));
  CARAT_TRY_STATUS(
      args.refuse_others({"num_bits", "type", "symmetric", "group_size", "strategy", "block_structure", "dynamic",
                          "actorder", "scale_dtype", "zp_dtype", "observer", "observer_kwargs"}));
  IntegerArgs read;
  CARAT_TRY(read.bits, args.integer("num_bits", 8));
  CARAT_TRY(const std::optional<std::string> type, args.text("type"));
  CARAT_TRY_STATUS(args.refuse_unless("type", !type || to_lower(*type) == "int", "\"int\""));
  const Json* symmetric = args.find("symmetric");
  CARAT_TRY_STATUS(args.refuse_unless("symmetric", symmetric == nullptr || *symmetric == true,
                                      "true; zero points are not supported"));
  const Json* dynamic = args.find("dynamic");
  CARAT_TRY_STATUS(args.refuse_unless("dynamic", dynamic == nullptr || *dynamic == false,
                                      "false; scales that are computed while the model runs are not supported"));
  CARAT_TRY_STATUS(check_order(args));
  CARAT_TRY_STATUS(args.refuse_unless("block_structure", args.find("block_structure") == nullptr,
                                      "nothing; scales of blocks are not supported"));
  CARAT_TRY(read.group_size, args.integer("group_size", -1));
  CARAT_TRY(read.strategy, strategy_of(args, read.group_size));
  return read;
}

Status read_weights(const Members& group, CompressedGroup& read) {
  const std::string place = group.place_of("weights");
  const Json* weights = group.find("weights");
  if (weights == nullptr) return group.refusal("weights", "an object; groups without weights are not supported");
  CARAT_TRY(const IntegerArgs args, read_args(*weights, place));
  if (args.bits != 2 && args.bits != 4 && args.bits != 8) {
    return refused(place + ".num_bits: found " + std::to_string(args.bits) + ", expected 2, 4 or 8");
  }
  read.codes = args.bits == 2 ? DType::kI2 : args.bits == 4 ? DType::kI4 : DType::kI8;
  const bool in_groups = args.strategy == "group";
  if (!in_groups && args.strategy != "channel") {
    return refused(place + ".strategy: found " + in_quotes(args.strategy) + ", expected \"channel\" or \"group\"");
  }
  if (in_groups ? args.group_size < 1 : args.group_size < -1 || args.group_size > 0) {
    return refused(place + ".group_size: found " + std::to_string(args.group_size) + ", expected " +
                   (in_groups ? "at least 1 for the strategy \"group\"" : "null or -1 for the strategy \"channel\""));
  }
  read.columns = in_groups ? args.group_size : 0;
  return success();
}

/// Whether the activations named `key` go through a static quantizer of 8 bits for the whole tensor.
Result<bool> read_range(const Members& members, std::string_view key) {
  const Json* found = members.find(key);
  if (found == nullptr) return false;
  const std::string place = members.place_of(key);
  CARAT_TRY(const IntegerArgs args, read_args(*found, place));
  if (args.bits != 8)
    return refused(place + ".num_bits: found " + std::to_string(args.bits) + ", expected 8 for activations");
  if (args.strategy != "tensor") {
    return refused(place + ".strategy: found " + in_quotes(args.strategy) + ", expected \"tensor\" for activations");
  }
  return true;
}

/// The format of a group; where it names none that of the whole file, or what follows from its arguments.
Status check_format(const Members& group, const std::optional<std::string>& global, const CompressedGroup& read) {
  CARAT_TRY(std::optional<std::string> format, group.text("format"));
  if (!format && global && *global != "mixed-precision") format = global;
  if (!format) format = read.input_range ? kIntQuantized : kPackQuantized;
  const std::string_view expected = read.codes == DType::kI8 ? kIntQuantized : kPackQuantized;
  if (*format == expected) return success();
  return refused(group.place_of("format") + ": found " + in_quotes(*format) + " for codes of " +
                 std::to_string(code_bits(read.codes)) + " bits, expected " + in_quotes(expected));
}

Result<CompressedGroup> read_group(const Members& group, const std::string& name,
                                   const std::optional<std::string>& global_format) {
  CARAT_TRY_STATUS(group.refuse_others({"targets", "weights", "input_activations", "output_activations", "format"}));
  CompressedGroup read = {.name = name};
  CARAT_TRY_STATUS(read_weights(group, read));
  CARAT_TRY(read.input_range, read_range(group, "input_activations"));
  CARAT_TRY(read.output_range, read_range(group, "output_activations"));
  CARAT_TRY_STATUS(check_format(group, global_format, read));
  return read;
}

Status add_names(const Members& members, std::string_view key, size_t group, ModuleNames& names) {
  const Json* list = members.find(key);
  if (list == nullptr) return success();
  if (!list->is_array()) return members.refusal(key, "a list of names");
  for (const Json& name : *list) {
    if (!name.is_string()) {
      return refused(members.place_of(key) + ": found " + found_text(name) + " in the list, expected a name");
    }
    CARAT_TRY_STATUS(names.add(name.get_ref<const std::string&>(), group, members.place_of(key)));
  }
  return success();
}

/// Whether a member stands for a feature that is not used: it is null, or an object that is empty or whose member
/// `key` is.
bool is_unused(const Json* found, std::string_view key) {
  if (found == nullptr) return true;
  if (!found->is_object() || found->empty()) return found->is_object();
  const auto inner = found->find(key);
  return inner != found->end() && (inner->empty() || *inner == "dense");
}

/// Members that say that the file is stored otherwise than by groups of integers.
Status check_file(const Members& top) {
  CARAT_TRY(const std::optional<std::string> status, top.text("quantization_status"));
  CARAT_TRY_STATUS(top.refuse_unless("quantization_status", status == "compressed", "\"compressed\""));
  CARAT_TRY_STATUS(top.refuse_unless("sparsity_config", is_unused(top.find("sparsity_config"), "format"),
                                     "nothing; sparse weights are not supported"));
  CARAT_TRY_STATUS(top.refuse_unless("moe_sparsity_config", top.find("moe_sparsity_config") == nullptr,
                                     "nothing; sparse experts are not supported"));
  return top.refuse_unless("transform_config", is_unused(top.find("transform_config"), "config_groups"),
                           "nothing; transforms of weights are not supported");
}

}  // namespace

Status ModuleNames::add(const std::string& name, size_t group, const std::string& place) {
  if (!name.starts_with(kPatternPrefix)) {
    names_[name] = group;
    return success();
  }
  if (const auto known = patterns_.find(name); known != patterns_.end()) {
    known->second.group = group;
    return success();
  }
  if (patterns_.size() == kMostPatterns) {
    return refused(place + ": has more patterns than " + std::to_string(kMostPatterns) + ", which is the limit");
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternMemory);
  auto regex = std::make_unique<RE2>(name.substr(kPatternPrefix.size()), options);
  if (!regex->ok()) {
    return refused(place + ": " + in_quotes(name) + ": " + printable(regex->error()) +
                   "; expected a regular expression without look-around and back-references");
  }
  patterns_.emplace(name, Pattern{std::move(regex), group});
  return success();
}

const size_t* ModuleNames::find(const std::string& module, ModuleClass module_class) const {
  if (const auto exact = names_.find(module); exact != names_.end()) return &exact->second;
  for (const auto& [text, pattern] : patterns_) {
    if (pattern.regex->Match(module, 0, module.size(), RE2::ANCHOR_START, nullptr, 0)) return &pattern.group;
  }
  const size_t* first = nullptr;
  std::string_view first_name;
  for (const std::string_view class_name : classes_of(module_class)) {
    const auto found = names_.find(std::string(class_name));
    if (found == names_.end() || (first != nullptr && first_name < class_name)) continue;
    first = &found->second;
    first_name = class_name;
  }
  return first;
}

uint64_t ModuleNames::instructions() const {
  uint64_t sum = 0;
  for (const auto& [text, pattern] : patterns_) sum += static_cast<uint64_t>(pattern.regex->ProgramSize());
  return sum;
}

Result<CompressedRules> CompressedRules::read(const Json& quantization, const std::string& place) {
  CARAT_TRY(const Members top, Members::of(quantization, place));
  CARAT_TRY_STATUS(check_file(top));
  CARAT_TRY(const std::optional<std::string> format, top.text("format"));
  CompressedRules rules;
  const Json* groups = top.find("config_groups");
  if (groups == nullptr || !groups->is_object()) return top.refusal("config_groups", "an object of groups");
  for (const auto& [name, json] : groups->items()) {
    CARAT_TRY(const Members group, Members::of(json, top.place_of("config_groups") + "." + printable(name)));
    CARAT_TRY(CompressedGroup read, read_group(group, name, format));
    if (group.find("targets") == nullptr) return group.refusal("targets", "a list of names");
    CARAT_TRY_STATUS(add_names(group, "targets", rules.groups_.size(), rules.targets_));
    rules.groups_.push_back(std::move(read));
  }
  CARAT_TRY_STATUS(add_names(top, "ignore", 0, rules.ignored_));
  CARAT_TRY(rules.quantizes_cache_, read_range(top, "kv_cache_scheme"));
  return rules;
}

const CompressedGroup* CompressedRules::group_of(const std::string& module, ModuleClass module_class) const {
  const size_t* group = targets_.find(module, module_class);
  if (group == nullptr || ignored_.find(module, module_class) != nullptr) return nullptr;
  return &groups_[*group];
}

}  // namespace carat
