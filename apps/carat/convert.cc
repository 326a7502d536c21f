#include "formats/convert.h"

#include <CLI/CLI.hpp>
#include <optional>

#include "commands.h"
#include "figures.h"
#include "formats/scheme_json.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

namespace carat {
namespace {

struct ConvertOptions {
  std::filesystem::path input;
  std::filesystem::path output;
  std::string scheme;
  bool json = false;
};

nlohmann::ordered_json to_json(const Conversion& conversion, const ConvertOptions& options) {
  return {{"input", options.input.string()}, {"output", options.output.string()},
          {"scheme", conversion.scheme},     {"tensors", conversion.tensors},
          {"bytes", conversion.bytes},       {"moved_weights", conversion.moved_weights}};
}

std::string summary(const Conversion& conversion, const ConvertOptions& options) {
  const std::string moved =
      conversion.moved_weights == 0 ? "no weight moved" : std::to_string(conversion.moved_weights) + " weights moved";
  return options.output.string() + ": " + bytes_text(conversion.bytes) + ", " + std::to_string(conversion.tensors) +
         " tensors, scheme " + (conversion.scheme.empty() ? "mixed" : conversion.scheme) + ", " + moved + "\n";
}

Status convert(const ConvertOptions& options) {
  std::optional<Scheme> scheme;
  if (!options.scheme.empty()) {
    CARAT_TRY(scheme, load_scheme(options.scheme));
  }
  CARAT_TRY(const Checkpoint input, Checkpoint::open(options.input));
  const std::atomic<bool>& interrupted = watch_interrupts();
  uint64_t weights = 0;
  for (const NamedTensor& tensor : input.tensors()) {
    weights += static_cast<uint64_t>(tensor.view.rows() * tensor.view.columns());
  }
  Conversion conversion;
  {
    Progress line("convert", "weights", static_cast<int64_t>(weights));
    CARAT_TRY(conversion,
              convert_checkpoint(input, options.output, scheme ? &*scheme : nullptr, [&](uint64_t done, uint64_t) {
                line.update(static_cast<int64_t>(done));
                return !interrupted;
              }));
  }
  if (options.json) return write_output_json(to_json(conversion, options));
  return write_output(summary(conversion, options));
}

}  // namespace

void add_convert_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* command = app.add_subcommand("convert", "Converts between GGUF and HuggingFace folders, and quantizes");
  command->add_option("input", options->input, "A .gguf file or a HuggingFace folder")->required()->type_name("IN");
  command->add_option("output", options->output, "A name that ends in .gguf for GGUF, any other for a folder")
      ->required()
      ->type_name("OUT");
  command
      ->add_option("--scheme", options->scheme,
                   "Round the weights to this scheme (" + built_in_scheme_names() +
                       ", or a JSON file); no weight moves when not given")
      ->type_name("SCHEME");
  command->add_flag("--json", options->json, "Write one JSON object");
  command->callback([options, &chosen] { chosen = [options] { return convert(*options); }; });
}

}  // namespace carat
