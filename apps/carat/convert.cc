#include "formats/convert.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <optional>

#include "base/cpu.h"
#include "calibration.h"
#include "commands.h"
#include "figures.h"
#include "formats/integrity.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "model/mobile_scheme.h"
#include "output.h"
#include "program_version.h"
#include "shown_progress.h"

namespace carat {
namespace {

struct ConvertRequest {
  std::filesystem::path input;
  std::filesystem::path output;
  std::string scheme;
  std::string format;
  bool requantize = false;
  bool static_scales = false;
  CalibrationOptions calibration;
  bool json = false;
};

// Those that can be written.
constexpr Container kFormats[] = {Container::kGguf, Container::kSafetensors, Container::kCompressedTensors,
                                  Container::kMlx};

nlohmann::ordered_json to_json(const Conversion& conversion, const ConvertRequest& request) {
  return {{"input", request.input.string()},
          {"output", request.output.string()},
          {"container", container_name(conversion.container)},
          {"scheme", conversion.scheme},
          {"tensors", conversion.tensors},
          {"bytes", conversion.bytes},
          {"weights", conversion.weights},
          {"moved_weights", conversion.moved_weights},
          {"largest_move", conversion.largest_move},
          {"relative_rms_move", conversion.relative_rms_move},
          {"recovered_groups", conversion.recovered_groups},
          {"rounded_groups", conversion.rounded_groups},
          {"unfit_scales", conversion.unfit_scales},
          {"rounded_scales", conversion.rounded_scales},
          {"largest_scale_change", conversion.largest_scale_change},
          {"static_scales", conversion.static_scales},
          {"left_out_scales", conversion.left_out_scales}};
}

std::string figure(double number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2g", number);
  return text.data();
}

/// "no weight moved", "12,345 groups recovered exactly, ...".
std::string weights_text(const Conversion& conversion, const ConvertRequest& request) {
  const auto counted = [](uint64_t count) { return count_text(static_cast<int64_t>(count)); };
  std::string text;
  if (conversion.recovered_groups != 0) text += counted(conversion.recovered_groups) + " groups recovered exactly, ";
  if (conversion.moved_weights == 0) return text + "no weight moved";
  text += counted(conversion.moved_weights) + " of " + counted(conversion.weights) + " weights moved, by at most " +
          figure(conversion.largest_move) + ", relative RMS " + figure(conversion.relative_rms_move);
  if (conversion.rounded_scales != 0) {
    text += ", " + counted(conversion.rounded_scales) + " scales rounded to binary16, by at most " +
            figure(100.0 * conversion.largest_scale_change) + " %";
    if (request.static_scales) text += " (the exact ones stand beside the blocks: the way back moves no weight)";
  }
  return text;
}

std::string summary(const Conversion& conversion, const ConvertRequest& request) {
  std::string text = request.output.string() + ": " + bytes_text(conversion.bytes) + ", " +
                     std::to_string(conversion.tensors) + " tensors, scheme " +
                     (conversion.scheme.empty() ? "mixed" : conversion.scheme) + ", " +
                     weights_text(conversion, request);
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
  return wrong_usage("--format: expected gguf, safetensors, compressed-tensors or mlx, found " +
                     in_quotes(request.format));
}

/// Says which files of the input are not those that its maker wrote, where it records their digests.
Status warn_of_damage(const ConvertRequest& request) {
  CARAT_TRY(const bool recorded, records_digests(request.input));
  if (!recorded) return success();
  CARAT_TRY(const Integrity integrity, check_integrity(request.input, shown_progress("check", "bytes")));
  for (const IntegrityFault& fault : integrity.faults) {
    write_note("warning: " + request.input.string() + ": " + fault.file + " " + fault.text +
               "; what is there now is converted");
  }
  return success();
}

/// The history of the new checkpoint: that of `input`, and this step.
Result<Provenance> provenance_of(const Checkpoint& input, const ConvertRequest& request, const std::string& scheme) {
  ProvenanceStep step = {.tool = program_version(), .command = "convert", .scheme = scheme};
  step.recipe["requantize"] = request.requantize;
  step.recipe["static_scales"] = request.static_scales;
  if (!request.format.empty()) step.recipe["format"] = request.format;
  CARAT_TRY(std::vector<std::filesystem::path> files, weight_files(request.input));
  if (!request.calibration.text.empty()) {
    step.recipe["calibration_tokens"] = request.calibration.tokens;
    files.push_back(request.calibration.text);
  }
  CARAT_TRY(step.sources, digest_files(files, shown_progress("digest", "bytes")));
  Provenance provenance = input.config().provenance;
  add_step(provenance, std::move(step));
  return provenance;
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
  options.requantize = request.requantize;
  options.static_scales = request.static_scales;
  options.threads = available_cores();
  CARAT_TRY(options.container, asked_container(request));
  if (!request.calibration.text.empty()) {
    if (!scheme || static_scales(input.config(), *scheme).empty()) {
      return wrong_usage("--calibration: expected a --scheme with static quantizers, such as mobile");
    }
    CARAT_TRY(options.scales, calibrate_with_text(request.input, request.calibration));
  }
  CARAT_TRY(const std::string new_scheme, check_conversion(input, request.output, options));
  CARAT_TRY_STATUS(warn_of_damage(request));
  CARAT_TRY(options.provenance, provenance_of(input, request, new_scheme));
  CARAT_TRY(const Conversion conversion,
            convert_checkpoint(input, request.output, options, shown_progress("convert", "weights")));
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
          "Put the weights on this scheme (" + scheme_names() + ", or a JSON file); they stay on theirs when not given")
      ->type_name("SCHEME");
  command
      ->add_option("--format", request->format,
                   "gguf, safetensors, compressed-tensors or mlx; when not given, by the name of OUT")
      ->type_name("FORMAT");
  command->add_flag("--requantize", request->requantize,
                    "Let weights of a quantized checkpoint leave their lattice where they must; refused otherwise");
  command->add_flag("--static-scales", request->static_scales,
                    "Keep static quantizers and exact scales in a GGUF file, which llama.cpp then refuses");
  add_calibration_options(*command, request->calibration);
  command->add_flag("--json", request->json, "Write one JSON object");
  command->callback([request, &chosen] { chosen = [request] { return convert(*request); }; });
}

}  // namespace carat
