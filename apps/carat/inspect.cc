#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "base/cpu.h"
#include "bundle_sections.h"
#include "commands.h"
#include "figures.h"
#include "formats/convert.h"
#include "formats/integrity.h"
#include "formats/quote.h"
#include "kernels/select.h"
#include "loaded_model.h"
#include "model/parameter_count.h"
#include "model/published_model.h"
#include "output.h"
#include "plan_rows.h"
#include "provenance_view.h"
#include "quantizers.h"
#include "session/plan.h"

namespace carat {
namespace {

constexpr const char* kArchitecture = "gemma4";

struct InspectOptions {
  std::filesystem::path model;
  bool check = false;
  bool json = false;
};

/// How many numbers the tensors of the file hold.
int64_t count_held(const Checkpoint& checkpoint) {
  int64_t count = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (is_weight(tensor)) count += tensor.view.rows() * tensor.view.columns();
  }
  return count;
}

/// Whether the file holds as many parameters as the published model: all that its release stores, but for those that
/// nothing uses.
bool holds_published(const Checkpoint& checkpoint, const PublishedModel& model) {
  return count_held(checkpoint) + count_parameters(checkpoint.config()).unused_key_value == model.parameters;
}

/// Types by how many tensors have them.
std::map<DType, int64_t> count_types(const Checkpoint& checkpoint) {
  std::map<DType, int64_t> types;
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (is_weight(tensor)) ++types[tensor.view.dtype];
  }
  return types;
}

std::string scheme_name(const Checkpoint& checkpoint) {
  const std::string name = scheme_of(checkpoint);
  return name.empty() ? "mixed" : name;
}

nlohmann::ordered_json layer_json(const LayerConfig& layer) {
  return {{"attention", layer.attention == AttentionType::kFull ? "full" : "sliding"},
          {"kv_heads", layer.kv_heads},
          {"head_width", layer.head_width},
          {"ffn_width", layer.ffn_width},
          {"kv_layer", layer.kv_layer},
          {"value_is_key", layer.value_is_key}};
}

nlohmann::ordered_json config_json(const ModelConfig& config) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerConfig& layer : config.layers) layers.push_back(layer_json(layer));
  return {{"vocabulary", config.vocabulary},
          {"hidden", config.hidden},
          {"heads", config.heads},
          {"per_layer_width", config.per_layer_width},
          {"experts", config.experts},
          {"experts_used", config.experts_used},
          {"expert_width", config.expert_width},
          {"sliding_window", config.sliding_window},
          {"context", config.context},
          {"rms_epsilon", config.rms_epsilon},
          {"softcap", config.softcap},
          {"rope_theta_sliding", config.rope_theta_sliding},
          {"rope_theta_full", config.rope_theta_full},
          {"full_rotary_fraction", config.full_rotary_fraction},
          {"layers", std::move(layers)}};
}

nlohmann::ordered_json vocabulary_json(const Vocabulary& vocabulary) {
  return {{"size", vocabulary.size()},
          {"merges", vocabulary.merges.size()},
          {"bos", vocabulary.bos},
          {"eos", vocabulary.eos},
          {"unknown", vocabulary.unknown},
          {"padding", vocabulary.padding},
          {"mask", vocabulary.mask},
          {"stop", vocabulary.stop},
          {"chat_template", !vocabulary.chat_template.empty()}};
}

nlohmann::ordered_json counts_json(const ParameterCount& count) {
  return {{"embedding", count.embedding},
          {"per_layer_table", count.per_layer_table},
          {"per_layer_inputs", count.per_layer_inputs},
          {"per_layer_outputs", count.per_layer_outputs},
          {"query", count.query},
          {"key_value", count.key_value},
          {"unused_key_value", count.unused_key_value},
          {"attention_output", count.attention_output},
          {"feed_forward", count.feed_forward},
          {"router", count.router},
          {"experts", count.experts},
          {"norms", count.norms},
          {"stored", count.stored()},
          {"active", count.active()}};
}

/// Null for a shape that is like none of the published ones.
nlohmann::ordered_json published_json(const Checkpoint& checkpoint) {
  const Likeness likeness = likeness_of(checkpoint.config());
  if (likeness.model == nullptr) return nullptr;
  return {{"model", likeness.model->name},
          {"parameters", likeness.model->parameters},
          {"verified", likeness.differences.empty() && holds_published(checkpoint, *likeness.model)},
          {"differences", likeness.differences}};
}

nlohmann::ordered_json types_json(const Checkpoint& checkpoint) {
  nlohmann::ordered_json types = nlohmann::ordered_json::object();
  for (const auto& [dtype, count] : count_types(checkpoint)) types[std::string(dtype_name(dtype))] = count;
  return types;
}

nlohmann::ordered_json to_json(const Checkpoint& checkpoint, const Kernels& kernels) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (!is_weight(tensor)) continue;
    const auto& [name, view] = tensor;
    nlohmann::ordered_json entry = {
        {"name", name}, {"shape", view.shape}, {"type", dtype_name(view.dtype)}, {"bytes", view.data.size()}};
    add_beside_weight(checkpoint, tensor, entry);
    tensors.push_back(std::move(entry));
  }
  return {{"architecture", kArchitecture},
          {"scheme", scheme_name(checkpoint)},
          {"parameters", count_held(checkpoint)},
          {"parameter_counts", counts_json(count_parameters(checkpoint.config()))},
          {"published", published_json(checkpoint)},
          {"types", types_json(checkpoint)},
          {"container", container_name(checkpoint.container())},
          {"bytes", sizes_of(checkpoint).weights},
          {"kernels", kernels.name},
          {"config", config_json(checkpoint.config())},
          {"vocabulary", vocabulary_json(checkpoint.vocabulary())},
          {"static_scales", other_static_scales(checkpoint)},
          {"provenance", provenance_to_json(checkpoint.config().provenance)},
          {"tensors", std::move(tensors)}};
}

/// Runs of layers that look alike, such as "s s f".
std::string layer_pattern(const ModelConfig& config) {
  std::string pattern;
  for (const LayerConfig& layer : config.layers) pattern += layer.attention == AttentionType::kFull ? 'F' : 's';
  return pattern;
}

constexpr size_t kNameWidth = 14;

std::string line(const std::string& name, const std::string& value) {
  return name + std::string(kNameWidth - name.size(), ' ') + value + "\n";
}

std::string shape_summary(const Checkpoint& checkpoint) {
  const Likeness likeness = likeness_of(checkpoint.config());
  if (likeness.model == nullptr) return "none of the published Gemma 4 models";
  const std::string name(likeness.model->name);
  const std::string published = count_text(likeness.model->parameters) + " parameters as published";
  if (!likeness.differences.empty()) {
    std::string text = "like " + name + " (" + published + "), but for";
    for (const std::string& difference : likeness.differences) text += " " + difference + ";";
    return text.substr(0, text.size() - 1);
  }
  return "the shape of " + name + ": " + published +
         (holds_published(checkpoint, *likeness.model) ? ", verified"
                                                       : "; this file lacks layer scalars, which count as 1");
}

std::string parameter_summary(const Checkpoint& checkpoint) {
  const ParameterCount count = count_parameters(checkpoint.config());
  std::string text =
      count_text(count_held(checkpoint)) + ", of which a token is multiplied with " + count_text(count.active());
  if (count.per_layer_table != 0) text += "; the per-layer table has " + count_text(count.per_layer_table);
  if (count.experts != 0) text += "; all experts have " + count_text(count.experts);
  return text;
}

std::string layer_summary(const ModelConfig& config) {
  std::string text = std::to_string(config.layer_count()) + " (" + layer_pattern(config) +
                     "; F is full attention, s a window of " + std::to_string(config.sliding_window) + ")";
  if (const int64_t shared = config.shared_kv_layers(); shared != 0) {
    text += "; the last " + std::to_string(shared) + " share keys and values";
  }
  if (std::ranges::any_of(config.layers, &LayerConfig::value_is_key)) text += "; F layers use keys as values";
  if (config.experts != 0) {
    text += "; " + std::to_string(config.experts_used) + " of " + std::to_string(config.experts) +
            " experts of width " + std::to_string(config.expert_width) + " for a token";
  }
  return text;
}

std::string type_summary(const Checkpoint& checkpoint) {
  std::string text;
  for (const auto& [dtype, count] : count_types(checkpoint)) {
    text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(dtype_name(dtype));
  }
  return text;
}

std::string summary(const Checkpoint& checkpoint, const ProcessBytes& process, const Kernels& kernels) {
  const ModelConfig& config = checkpoint.config();
  const ModelSizes sizes = sizes_of(checkpoint);
  const CacheOptions options = {.type = default_cache_type(config, sizes.scales)};
  const MemoryPlan plan = plan_memory(sizes, process, config.context, options);
  const std::string context = std::to_string(config.context);
  const std::string static_scales = static_scale_summary(checkpoint);
  const std::string provenance = provenance_lines(config.provenance, kNameWidth);
  return line("architecture", kArchitecture) + line("model", shape_summary(checkpoint)) +
         line("container", std::string(container_name(checkpoint.container()))) +
         line("scheme", scheme_name(checkpoint) + " (tensors: " + type_summary(checkpoint) + ")") +
         (static_scales.empty() ? "" : line("static scales", static_scales)) +
         line("parameters", parameter_summary(checkpoint)) + line("layers", layer_summary(config)) +
         line("hidden", std::to_string(config.hidden) + ", per-layer " + std::to_string(config.per_layer_width)) +
         line("vocabulary", std::to_string(config.vocabulary) + " pieces, " +
                                std::to_string(checkpoint.vocabulary().merges.size()) + " merges") +
         line("context", context) + line("memory", "with all " + context + " positions " + memory_text(plan)) +
         line("kernels", kernels.name) + line("provenance", provenance.empty() ? "not recorded" : provenance);
}

std::string digest_summary(bool recorded) {
  return line("digests", recorded ? "recorded; --check compares them with the files" : "not recorded");
}

std::string tensor_table(const Checkpoint& checkpoint) {
  size_t widest = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) widest = std::max(widest, tensor.name.size());
  std::string table = "\n";
  const auto begin_row = [&](const std::string& name) {
    table += printable(name) + std::string(widest - name.size() + 2, ' ');
  };
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    if (!is_weight(tensor)) continue;
    const auto& [name, view] = tensor;
    const std::string type(dtype_name(view.dtype));
    begin_row(name);
    table += type + std::string(6 - type.size(), ' ') + shape_text(view.shape) + "  " +
             bytes_text(view.data.size() + view.scales.data.size()) + beside_weight(checkpoint, tensor) + "\n";
  }
  for (const auto& [name, scale] : other_static_scales(checkpoint)) {
    begin_row(name);
    table += scale_text(scale) + "\n";
  }
  return table;
}

/// What running the model takes beside its numbers; measured as `carat plan` does, before anything else is in memory.
Result<ProcessBytes> process_bytes(const InspectOptions& options) {
  if (options.json) return ProcessBytes{};
  CARAT_TRY(const OpenModel opened, open_model(options.model, available_cores()));
  return opened.process;
}

Status inspect(const InspectOptions& options) {
  nlohmann::ordered_json integrity;
  if (options.check) {
    CARAT_TRY(integrity, check_files(options.model));
  }
  CARAT_TRY(const ProcessBytes process, process_bytes(options));
  CARAT_TRY(const Checkpoint checkpoint, Checkpoint::open(options.model));
  CARAT_TRY(const bool recorded, records_digests(options.model));
  CARAT_TRY(const Kernels* kernels, select_kernels());
  std::vector<std::string> without_lowest;
  if (options.check) {
    CARAT_TRY(without_lowest, check_tensors(checkpoint));
  }
  nlohmann::ordered_json bundle;
  if (checkpoint.container() == Container::kLitertlm) {
    CARAT_TRY(bundle, bundle_json(options.model));
  }
  if (options.json) {
    nlohmann::ordered_json json = to_json(checkpoint, *kernels);
    json["digests"] = recorded;
    if (options.check) {
      json["integrity"] = std::move(integrity);
      json["without_lowest_code"] = without_lowest;
    }
    if (!bundle.is_null()) json["bundle"] = std::move(bundle);
    return write_output_json(json);
  }
  std::string text = summary(checkpoint, process, *kernels) + digest_summary(recorded) + tensor_table(checkpoint);
  if (!bundle.is_null()) text += bundle_table(bundle);
  if (options.check) {
    text += "\nevery value and scale is finite\n";
    if (recorded) text += "every digest is that of its file\n";
  }
  for (const std::string& name : without_lowest) {
    text += printable(name) + ": no code is the lowest of its type; the scales were not made for the whole range\n";
  }
  return write_output(text);
}

}  // namespace

void add_inspect_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Shows a model's shape, scheme, tensors, and what will run it");
  command->add_option("model", options->model, "A .gguf file, a HuggingFace folder or a .litertlm bundle")
      ->required()
      ->type_name("MODEL");
  command->add_flag(
      "--check", options->check,
      "Read every file and tensor: refuse what is cut short, altered or not finite, name tensors of codes that lack "
      "the lowest code");
  command->add_flag("--json", options->json, "Write one JSON object");
  command->callback([options, &chosen] { chosen = [options] { return inspect(*options); }; });
}

}  // namespace carat
