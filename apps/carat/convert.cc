#include "formats/convert.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <optional>

#include "base/cpu.h"
#include "calibration.h"
#include "commands.h"
#include "figures.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "interrupt.h"
#include "model/mobile_scheme.h"
#include "output.h"
#include "progress.h"

namespace carat {
namespace {

struct ConvertRequest {
  std::filesystem::path input;
  std::filesystem::path output;
  std::string scheme;
  std::string format;
  bool static_scales = false;
  CalibrationOptions calibration;
  bool json = false;
};

// Those that can be written.
constexpr Container kFormats[] = {Container::kGguf, Container::kSafetensors, Container::kCompressedTensors};

nlohmann::ordered_json to_json(const Conversion& conversion, const ConvertRequest& request) {
  return {{"input", request.input.string()},
          {"output", request.output.string()},
          {"container", container_name(conversion.container)},
          {"scheme", conversion.scheme},
          {"tensors", conversion.tensors},
          {"bytes", conversion.bytes},
          {"moved_weights", conversion.moved_weights},
          {"rounded_scales", conversion.rounded_scales},
          {"largest_scale_change", conversion.largest_scale_change},
          {"static_scales", conversion.static_scales},
          {"left_out_scales", conversion.left_out_scales}};
}

/// "12 scales rounded, by at most 0.024 %".
std::string rounding_text(const Conversion& conversion) {
  std::array<char, 32> percent{};
  std::snprintf(percent.data(), percent.size(), "%.2g", 100.0 * conversion.largest_scale_change);
  return std::to_string(conversion.rounded_scales) + " scales rounded to binary16, by at most " + percent.data() + " %";
}

std::string summary(const Conversion& conversion, const ConvertRequest& request) {
  std::string text =
      request.output.string() + ": " + bytes_text(conversion.bytes) + ", " + std::to_string(conversion.tensors) +
      " tensors, scheme " + (conversion.scheme.empty() ? "mixed" : conversion.scheme) + ", " +
      (conversion.moved_weights == 0 ? "no weight moved" : std::to_string(conversion.moved_weights) + " weights moved");
  if (conversion.rounded_scales != 0) text += ", " + rounding_text(conversion);
  if (conversion.static_scales != 0) text += ", " + std::to_string(conversion.static_scales) + " static scales";
  text += "\n";
  if (conversion.left_out_scales == 0) return text;
  return text + "left out: " + std::to_string(conversion.left_out_scales) + " static scales; without them this is " +
         "another model than the one that was trained" +
         (conversion.container == Container::kGguf ? " (--static-scales keeps them)\n" : "\n");
}

Result<std::optional<Container>> asked_container(const ConvertRequest& request) {
  if (request.format.empty()) return std::optional<Container>();
  for (const Container container : kFormats) {
    if (request.format == container_name(container)) return std::optional(container);
  }
  return wrong_usage("--format: expected gguf, safetensors or compressed-tensors, found " + in_quotes(request.format));
}

Result<Conversion> convert_showing_progress(const Checkpoint& input, const ConvertRequest& request,
                                            const ConvertOptions& options) {
  const std::atomic<bool>& interrupted = watch_interrupts();
  std::optional<Progress> line;
  return convert_checkpoint(input, request.output, options, [&](uint64_t done, uint64_t total) {
    if (!line) line.emplace("convert", "weights", static_cast<int64_t>(total));
    line->update(static_cast<int64_t>(done));
    return !interrupted;
  });
}

Status convert(const ConvertRequest& request) {
  if (request.output.extension() == ".litertlm") {
    return wrong_usage(request.output.string() + ": LiteRT-LM bundles are read and not written; name a folder or a " +
                       ".gguf file");
  }
  CARAT_TRY(const Checkpoint input, Checkpoint::open(request.input));
  std::optional<Scheme> scheme;
  if (!request.scheme.empty()) {
    CARAT_TRY(scheme, load_scheme(request.scheme, input.config()));
  }
  ConvertOptions options;
  options.scheme = scheme ? &*scheme : nullptr;
  options.static_scales = request.static_scales;
  options.threads = available_cores();
  CARAT_TRY(options.container, asked_container(request));
  if (!request.calibration.text.empty()) {
    if (!scheme || static_scales(input.config(), *scheme).empty()) {
      return wrong_usage("--calibration: expected a --scheme with static quantizers, such as mobile");
    }
    CARAT_TRY(options.scales, calibrate_with_text(request.input, request.calibration));
  }
  CARAT_TRY(const Conversion conversion, convert_showing_progress(input, request, options));
  if (request.json) return write_output_json(to_json(conversion, request));
  return write_output(summary(conversion, request));
}

}  // namespace

void add_convert_command(CLI::App& app, Work& chosen) {
  const auto request = std::make_shared<ConvertRequest>();
  CLI::App* command = app.add_subcommand("convert", "Converts between GGUF and HuggingFace folders, and quantizes");
  command->add_option("input", request->input, "A .gguf file, a HuggingFace folder or a .litertlm bundle")
      ->required()
      ->type_name("IN");
  command->add_option("output", request->output, "A name that ends in .gguf for GGUF, any other for a folder")
      ->required()
      ->type_name("OUT");
  command
      ->add_option(
          "--scheme", request->scheme,
          "Round the weights to this scheme (" + scheme_names() + ", or a JSON file); no weight moves when not given")
      ->type_name("SCHEME");
  command
      ->add_option("--format", request->format,
                   "gguf, safetensors or compressed-tensors; when not given, by the name of OUT")
      ->type_name("FORMAT");
  command->add_flag("--static-scales", request->static_scales,
                    "Keep static quantizers and exact scales in a GGUF file, which llama.cpp then refuses");
  add_calibration_options(*command, request->calibration);
  command->add_flag("--json", request->json, "Write one JSON object");
  command->callback([request, &chosen] { chosen = [request] { return convert(*request); }; });
}

}  // namespace carat
