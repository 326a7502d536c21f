#include <CLI/CLI.hpp>

#include "base/cpu.h"
#include "commands.h"
#include "figures.h"
#include "formats/checkpoint.h"
#include "formats/folder.h"
#include "formats/source_files.h"
#include "interrupt.h"
#include "model/filler_vocabulary.h"
#include "model/mobile_scheme.h"
#include "model/preset.h"
#include "model/random_model.h"
#include "numbers.h"
#include "output.h"
#include "program_version.h"
#include "progress.h"

namespace carat {
namespace {

struct NewOptions {
  std::string preset;
  uint64_t seed = 0;
  std::filesystem::path output;
  std::string scheme = "f32";
  std::filesystem::path tokenizer;
  bool json = false;
};

Result<Vocabulary> vocabulary_for(const ModelConfig& config, const std::filesystem::path& tokenizer) {
  if (tokenizer.empty()) return filler_vocabulary(config.vocabulary);
  CARAT_TRY(Vocabulary vocabulary, read_folder_vocabulary(tokenizer));
  if (vocabulary.size() == config.vocabulary) return vocabulary;
  return refused(tokenizer.string() + ": the tokenizer has " + std::to_string(vocabulary.size()) +
                 " pieces, expected " + std::to_string(config.vocabulary) + " as the preset has");
}

/// What the model is to record of how it was made.
Result<ProvenanceStep> provenance_of(const NewOptions& options, const std::string& scheme) {
  ProvenanceStep step = {.tool = program_version(), .command = "new", .scheme = scheme};
  step.recipe["preset"] = options.preset;
  step.recipe["seed"] = options.seed;
  std::vector<std::filesystem::path> sources;
  if (!options.tokenizer.empty()) sources.push_back(folder_tokenizer_file(options.tokenizer));
  const bool own_scheme = built_in_scheme(options.scheme) == nullptr && options.scheme != kMobileSchemeName;
  if (own_scheme) sources.push_back(options.scheme);
  CARAT_TRY(step.sources, digest_files(sources, nullptr));
  return step;
}

Status make_new(const NewOptions& options) {
  RandomModel model;
  CARAT_TRY(model.config, preset_config(options.preset));
  CARAT_TRY(model.scheme, load_scheme(options.scheme, model.config));
  model.seed = options.seed;
  CARAT_TRY(model.vocabulary, vocabulary_for(model.config, options.tokenizer));
  CARAT_TRY(ProvenanceStep step, provenance_of(options, model.scheme.name));
  add_step(model.config.provenance, std::move(step));

  int64_t weights = 0;
  for (const TensorSpec& spec : expected_tensors(model.config)) weights += *element_count(spec.shape);
  const std::atomic<bool>& interrupted = watch_interrupts();
  ThreadPool threads(available_cores());
  uint64_t bytes = 0;
  {
    Progress line("new", "weights", weights);
    CARAT_TRY(bytes, write_random_model(options.output, model, threads, [&](uint64_t done, uint64_t) {
                line.update(static_cast<int64_t>(done));
                return !interrupted;
              }));
  }
  if (options.json) {
    return write_output_json({{"preset", options.preset},
                              {"seed", options.seed},
                              {"output", options.output.string()},
                              {"scheme", model.scheme.name},
                              {"parameters", weights},
                              {"bytes", bytes}});
  }
  return write_output(options.output.string() + ": " + std::to_string(weights) + " weights, " + bytes_text(bytes) +
                      ", scheme " + model.scheme.name + "\n");
}

}  // namespace

void add_new_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<NewOptions>();
  CLI::App* command = app.add_subcommand("new", "Makes a random-weight model of an exact shape");
  command->add_option("--preset", options->preset, "The shape: " + preset_names())->required()->type_name("NAME");
  command->add_option("--seed", options->seed, "The same seed gives the same weights")
      ->check(seed_number())
      ->capture_default_str()
      ->type_name("N");
  command->add_option("-o,--output", options->output, "A name that ends in .gguf for GGUF, any other for a folder")
      ->required()
      ->type_name("PATH");
  command
      ->add_option("--scheme", options->scheme, "The lattices of the weights: " + scheme_names() + ", or a JSON file")
      ->capture_default_str()
      ->type_name("SCHEME");
  command
      ->add_option("--tokenizer", options->tokenizer,
                   "A folder with the tokenizer.json to take; without it, pieces that only fill the vocabulary")
      ->type_name("FOLDER");
  command->add_flag("--json", options->json, "Write one JSON object");
  command->callback([options, &chosen] { chosen = [options] { return make_new(*options); }; });
}

}  // namespace carat
