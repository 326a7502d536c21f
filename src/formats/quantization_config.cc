#include "formats/quantization_config.h"

#include "formats/quote.h"

namespace carat {
namespace {

using nlohmann::ordered_json;

constexpr const char* kKey = "quantization_config";
constexpr const char* kMlxKey = "quantization";
constexpr const char* kTextConfig = "text_config";
constexpr const char* kTied = "tie_word_embeddings";

// An object that keeps its order is searched from end to end for each member that is added.
constexpr size_t kMostMembers = 4096;

// What is nested deeper than any settings are is not kept, for a copy of it would take stack in proportion.
constexpr int kDeepest = 32;

/// Keeps the members that are wanted of a document of any size.
class WantedMembers {
 public:
  bool operator()(int depth, ordered_json::parse_event_t event, const ordered_json& parsed) {
    using Event = ordered_json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      too_deep_ = too_deep_ || (inside_ && depth > kDeepest);
      return depth <= kDeepest;
    }
    if (event != Event::key) return true;
    if (!is_wanted(depth, parsed.get_ref<const std::string&>())) return false;
    return ++members_ <= kMostMembers;
  }

  bool too_many() const { return members_ > kMostMembers; }
  bool too_deep() const { return too_deep_; }

 private:
  /// `depth` is 1 for members of the document.
  bool is_wanted(int depth, const std::string& key) {
    if (depth == 1) {
      inside_ = key == kKey || key == kMlxKey;
      in_text_config_ = key == kTextConfig;
      return inside_ || in_text_config_ || key == kTied;
    }
    if (depth == 2 && in_text_config_) {
      inside_ = key == kKey;
      return inside_ || key == kTied;
    }
    return inside_;
  }

  bool in_text_config_ = false;
  bool inside_ = false;  // of one of the two
  size_t members_ = 0;
  bool too_deep_ = false;
};

/// The object `key` of `parent`, null when it has none.
Result<ordered_json> object_of(const ordered_json& parent, const char* key, const std::string& source) {
  const auto found = parent.find(key);
  if (found == parent.end() || found->is_null()) return ordered_json();
  if (found->is_object()) return *found;
  return refused(source + ": " + key + ": expected an object, found " + found->type_name());
}

Result<QuantMethod> method_of(const ordered_json& quantization, const std::string& source) {
  if (quantization.is_null()) return QuantMethod::kNone;
  const auto found = quantization.find("quant_method");
  const bool is_text = found != quantization.end() && found->is_string();
  const std::string method = is_text ? found->get<std::string>() : "unknown";
  if (method == "gemma") return QuantMethod::kGemma;
  if (method == "compressed-tensors") return QuantMethod::kCompressedTensors;
  return refused(source + ": " + kKey + ": weights quantized by the method " + in_quotes(method) +
                 " are not supported, expected gemma or compressed-tensors; take the model's F32, F16 or BF16 weights, "
                 "or a GGUF file");
}

/// The object that mlx-lm writes; null for any other of its name.
ordered_json mlx_object_of(const ordered_json& root) {
  const auto found = root.find(kMlxKey);
  const bool is_mlx = found != root.end() && found->is_object() && (found->contains("bits") || found->contains("mode"));
  return is_mlx ? *found : ordered_json();
}

bool says_untied(const ordered_json& object) {
  const auto found = object.is_object() ? object.find(kTied) : object.end();
  return found != object.end() && *found == false;
}

}  // namespace

Result<QuantizationConfig> quantization_from_json(std::string_view text, const std::string& source) {
  WantedMembers wanted;
  const ordered_json root = ordered_json::parse(
      text, [&](int depth, auto event, ordered_json& parsed) { return wanted(depth, event, parsed); },
      /*allow_exceptions=*/false);
  if (!root.is_object()) return refused(source + ": is no JSON object; copy the file again");
  if (wanted.too_many()) {
    return refused(source + ": " + kKey + " has more than " + std::to_string(kMostMembers) +
                   " members; expected the settings of one model");
  }
  if (wanted.too_deep()) {
    return refused(source + ": " + kKey + " is nested more than " + std::to_string(kDeepest) +
                   " levels deep; expected the settings of one model");
  }
  CARAT_TRY(const ordered_json text_config, object_of(root, kTextConfig, source));
  QuantizationConfig config;
  config.head_apart = says_untied(root) || says_untied(text_config);
  if (config.json = mlx_object_of(root); !config.json.is_null()) {
    config.method = QuantMethod::kMlx;
    return config;
  }
  CARAT_TRY(config.json, object_of(root, kKey, source));
  if (config.json.is_null() && text_config.is_object()) {
    CARAT_TRY(config.json, object_of(text_config, kKey, source));
  }
  CARAT_TRY(config.method, method_of(config.json, source));
  return config;
}

}  // namespace carat
