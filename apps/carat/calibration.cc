#include "calibration.h"

#include <CLI/CLI.hpp>

#include "eval/calibrate.h"
#include "interrupt.h"
#include "model_options.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"

namespace carat {
namespace {

// One window.
constexpr int64_t kFewTokens = 512;

}  // namespace

void add_calibration_options(CLI::App& command, CalibrationOptions& options) {
  CLI::Option* text = command.add_option("--calibration", options.text,
                                         "Find the scales of static quantizers with this text, as the input reads it");
  text->type_name("FILE");
  command.add_option("--calibration-tokens", options.tokens, "Most tokens of that text to use, from its beginning")
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N")
      ->needs(text);
}

Result<std::map<std::string, float>> calibrate_with_text(const std::filesystem::path& path,
                                                         const CalibrationOptions& options) {
  CARAT_TRY(const std::unique_ptr<Ops> ops, create_ops(0));
  CARAT_TRY(Model model, Model::load(path, *ops, {.input_quantizers = false, .output_quantizers = false}));
  CARAT_TRY(EvalText text, read_eval_text(options.text, model.vocabulary()));
  if (text.tokens() < kFewTokens) {
    write_note("calibration: the text has only " + std::to_string(text.tokens()) +
               " tokens; what they lack will be clipped: take a text of some thousands");
  }
  text.shorten(options.tokens);
  const std::atomic<bool>& interrupted = watch_interrupts();
  Progress line("calibration", "tokens", text.tokens());
  return calibrate(model, text, {.cache_type = DType::kF32}, [&](int64_t done, int64_t) {
    line.update(done);
    return !interrupted;
  });
}

}  // namespace carat
