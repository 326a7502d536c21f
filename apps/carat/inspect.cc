#include <CLI/CLI.hpp>
#include <cstdio>

#include "commands.h"
#include "figures.h"
#include "formats/convert.h"
#include "formats/quote.h"
#include "kernels/select.h"
#include "output.h"
#include "session/plan.h"

namespace carat {
namespace {

constexpr const char* kArchitecture = "gemma4";

struct InspectOptions {
  std::filesystem::path model;
  bool json = false;
};

int64_t count_parameters(const Checkpoint& checkpoint) {
  int64_t count = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) count += tensor.view.rows() * tensor.view.columns();
  return count;
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
          {"kv_layer", layer.kv_layer}};
}

nlohmann::ordered_json config_json(const ModelConfig& config) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerConfig& layer : config.layers) layers.push_back(layer_json(layer));
  return {{"vocabulary", config.vocabulary},
          {"hidden", config.hidden},
          {"heads", config.heads},
          {"per_layer_width", config.per_layer_width},
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

nlohmann::ordered_json to_json(const Checkpoint& checkpoint, const Kernels& kernels) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const auto& [name, view] : checkpoint.tensors()) {
    tensors.push_back(
        {{"name", name}, {"shape", view.shape}, {"type", dtype_name(view.dtype)}, {"bytes", view.data.size()}});
  }
  return {{"architecture", kArchitecture},
          {"scheme", scheme_name(checkpoint)},
          {"parameters", count_parameters(checkpoint)},
          {"container", container_name(checkpoint.container())},
          {"bytes", plan_memory(checkpoint, 1).weights_mapped},
          {"kernels", kernels.name},
          {"config", config_json(checkpoint.config())},
          {"vocabulary", vocabulary_json(checkpoint.vocabulary())},
          {"tensors", std::move(tensors)}};
}

/// Runs of layers that look alike, such as "s s f".
std::string layer_pattern(const ModelConfig& config) {
  std::string pattern;
  for (const LayerConfig& layer : config.layers) pattern += layer.attention == AttentionType::kFull ? 'F' : 's';
  return pattern;
}

std::string line(const std::string& name, const std::string& value) {
  constexpr size_t kNameWidth = 14;
  return name + std::string(kNameWidth - name.size(), ' ') + value + "\n";
}

std::string summary(const Checkpoint& checkpoint, const Kernels& kernels) {
  const ModelConfig& config = checkpoint.config();
  const MemoryPlan plan = plan_memory(checkpoint, config.context);
  const std::string context = std::to_string(config.context);
  return line("architecture", kArchitecture) + line("container", std::string(container_name(checkpoint.container()))) +
         line("scheme", scheme_name(checkpoint)) + line("parameters", std::to_string(count_parameters(checkpoint))) +
         line("layers", std::to_string(config.layer_count()) + " (" + layer_pattern(config) +
                            "; F is full attention, s a window of " + std::to_string(config.sliding_window) +
                            "); the last " + std::to_string(config.shared_kv_layers()) + " share keys and values") +
         line("hidden", std::to_string(config.hidden) + ", per-layer " + std::to_string(config.per_layer_width)) +
         line("vocabulary", std::to_string(config.vocabulary) + " pieces, " +
                                std::to_string(checkpoint.vocabulary().merges.size()) + " merges") +
         line("context", context) +
         line("memory", bytes_text(plan.total()) + " with all " + context + " positions: weights " +
                            bytes_text(plan.weights_mapped) + ", keys and values " + bytes_text(plan.kv_cache) +
                            ", activations " + bytes_text(plan.activations)) +
         line("kernels", kernels.name);
}

std::string tensor_table(const Checkpoint& checkpoint) {
  size_t widest = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) widest = std::max(widest, tensor.name.size());
  std::string table = "\n";
  for (const auto& [name, view] : checkpoint.tensors()) {
    const std::string type(dtype_name(view.dtype));
    table += printable(name) + std::string(widest - name.size() + 2, ' ') + type + std::string(6 - type.size(), ' ') +
             shape_text(view.shape) + "  " + bytes_text(view.data.size()) + "\n";
  }
  return table;
}

Status inspect(const InspectOptions& options) {
  CARAT_TRY(const Checkpoint checkpoint, Checkpoint::open(options.model));
  CARAT_TRY(const Kernels* kernels, select_kernels());
  if (options.json) return write_output_json(to_json(checkpoint, *kernels));
  return write_output(summary(checkpoint, *kernels) + tensor_table(checkpoint));
}

}  // namespace

void add_inspect_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* command = app.add_subcommand("inspect", "Shows a model's shape, scheme, tensors, and what will run it");
  command->add_option("model", options->model, "A .gguf file or a HuggingFace folder")->required()->type_name("MODEL");
  command->add_flag("--json", options->json, "Write one JSON object");
  command->callback([options, &chosen] { chosen = [options] { return inspect(*options); }; });
}

}  // namespace carat
