#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/available_memory.h"
#include "base/bandwidth.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "commands.h"
#include "formats/convert.h"
#include "formats/quote.h"
#include "generation_options.h"
#include "loaded_model.h"
#include "model/mobile_scheme.h"
#include "model/preset.h"
#include "model/published_model.h"
#include "model_options.h"
#include "numbers.h"
#include "output.h"
#include "plan_rows.h"

namespace carat {
namespace {

constexpr double kSecondsOfReading = 0.3;

struct PlanOptions {
  std::string model;
  std::vector<int64_t> contexts;
  std::string scheme;
  std::optional<std::string> cache_type;
  int threads = 0;
  bool json = false;
};

int threads_of(const PlanOptions& options) { return options.threads > 0 ? options.threads : available_cores(); }

/// Schemes with a release of Google's, or that a float model is converted to; "mobile" is trained for some shapes only.
std::vector<std::string> schemes_of(const std::string& preset, const PlanOptions& options) {
  if (!options.scheme.empty()) return {options.scheme};
  std::vector<std::string> schemes = {"bf16", "q8_0", "q4_0"};
  if (preset == "e2b" || preset == "e4b" || preset == "opal") schemes.emplace_back(kMobileSchemeName);
  return schemes;
}

Result<std::vector<PlannedModel>> plan_preset(const std::string& preset, const PlanOptions& options) {
  CARAT_TRY(const ModelConfig config, preset_config(preset));
  const ProcessBytes process = {program_bytes(held_bytes(), threads_of(options)),
                                typical_vocabulary_bytes(config.vocabulary)};
  std::vector<PlannedModel> models;
  for (const std::string& name : schemes_of(preset, options)) {
    CARAT_TRY(const Scheme scheme, load_scheme(name, config));
    CARAT_TRY(ModelSizes sizes, sizes_of(config, scheme));
    models.push_back({preset, scheme.name, std::move(sizes), process});
  }
  return models;
}

Result<std::vector<PlannedModel>> plan_published(const PlanOptions& options) {
  std::vector<PlannedModel> models;
  for (const PublishedModel& published : published_models()) {
    CARAT_TRY(std::vector<PlannedModel> more, plan_preset(std::string(published.preset), options));
    std::ranges::move(more, std::back_inserter(models));
  }
  return models;
}

Result<std::vector<PlannedModel>> plan_file(const PlanOptions& options) {
  if (!options.scheme.empty()) return wrong_usage("--scheme is for a preset: a model's file has its own");
  CARAT_TRY(const OpenModel opened, open_model(options.model, threads_of(options)));
  const std::filesystem::path path = std::filesystem::path(options.model).lexically_normal();
  const std::string name = path.has_filename() ? path.stem().string() : path.parent_path().filename().string();
  const std::string scheme = scheme_of(opened.checkpoint);
  return std::vector<PlannedModel>{
      {printable(name), scheme.empty() ? "mixed" : scheme, sizes_of(opened.checkpoint), opened.process}};
}

Result<std::vector<PlannedModel>> plan_models(const PlanOptions& options) {
  std::error_code ignored;
  if (options.model == "all") return plan_published(options);
  if (std::filesystem::exists(options.model, ignored)) return plan_file(options);
  if (preset_config(options.model).ok()) return plan_preset(options.model, options);
  return refused(in_quotes(options.model) + ": there is no such file or folder, and no preset of that name; presets: " +
                 preset_names() + "; all takes all published ones");
}

Result<std::vector<PlanRow>> all_rows(const PlanOptions& options, const Machine& machine,
                                      const std::vector<PlannedModel>& models) {
  std::vector<int64_t> contexts = options.contexts;
  if (contexts.empty()) contexts = {4096, 32768, 131072};
  std::ranges::sort(contexts);
  std::optional<DType> cache_type;
  if (options.cache_type) {
    CARAT_TRY(cache_type, cache_type_named(*options.cache_type));
  }
  std::vector<PlanRow> rows;
  for (const PlannedModel& model : models) {
    if (cache_type) CARAT_TRY_STATUS(check_cache_type(*cache_type, model.sizes.config, model.sizes.scales));
    std::ranges::move(plan_rows(model, contexts, cache_type, machine), std::back_inserter(rows));
  }
  return rows;
}

Status plan(const PlanOptions& options) {
  Machine machine = {.available = available_memory()};
  CARAT_TRY(const std::vector<PlannedModel> models, plan_models(options));
  ThreadPool threads(threads_of(options));
  machine.bandwidth = read_bandwidth(threads, bandwidth_buffer(machine.available), kSecondsOfReading);
  CARAT_TRY(const std::vector<PlanRow> rows, all_rows(options, machine, models));
  if (options.json) return write_output_json(to_json(rows, machine));
  return write_output(plan_table(rows, machine));
}

}  // namespace

void add_plan_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Says what models take in memory, and what this machine can run");
  command->add_option("model", options->model, "A model, or a shape without a file: " + preset_names() + ", all")
      ->required()
      ->type_name("MODEL|PRESET|all");
  command
      ->add_option("-c,--context", options->contexts,
                   "Positions; may be repeated; 4096, 32768 and 131072 when not given, the model's own at most")
      ->check(count_of_at_least(1))
      ->allow_extra_args(false)
      ->type_name("N");
  command->add_option("--scheme", options->scheme, "Of a preset: " + scheme_names() + ", or a JSON file")
      ->type_name("SCHEME");
  add_cache_type_option(*command, options->cache_type);
  command->add_option("-t,--threads", options->threads, "Threads; as many as there are cores when not given")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("N");
  command->add_flag("--json", options->json, "Write one JSON object instead of a table");
  command->callback([options, &chosen] { chosen = [options] { return plan(*options); }; });
}

}  // namespace carat
