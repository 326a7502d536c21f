#include "eval_sensitivity.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/file_write.h"
#include "eval/figure_text.h"
#include "figures.h"
#include "formats/quote.h"
#include "formats/scheme_json.h"
#include "interrupt.h"
#include "model/mobile_scheme.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "text_table.h"

namespace carat {
namespace {

constexpr uint64_t kLogitsInMemory = uint64_t{256} << 20;
// Rows of logits from a file and of a tensor that is quantized, with room for all threads.
constexpr uint64_t kRowBytes = uint64_t{48} << 20;

std::string error_text(double relative) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g %%", 100 * relative);
  return text.data();
}

std::string difference_text(uint64_t before, uint64_t after) {
  return after <= before ? bytes_text(before - after) : "-" + bytes_text(after - before);
}

std::string ranking_text(const std::vector<TensorSensitivity>& ranked) {
  std::vector<std::vector<std::string>> rows = {{"", "stored", "lattice", "saves", "error", "mean KLD, nats"}};
  const size_t digits = std::to_string(ranked.size()).size();
  for (size_t i = 0; i < ranked.size(); ++i) {
    const TensorSensitivity& found = ranked[i];
    std::string rank = std::to_string(i + 1);
    rank.insert(0, digits - rank.size(), ' ');
    rows.push_back({rank + "  " + found.tensor, found.stored, found.lattice,
                    difference_text(found.bytes_before, found.bytes_after), error_text(found.relative_error),
                    joined(estimate_text(found.mean_kld))});
  }
  return table_text(rows);
}

/// With the tensors on the scheme's lattices, as far as they were measured.
double sum_of_klds(const std::vector<TensorSensitivity>& ranked) {
  double sum = 0;
  for (const TensorSensitivity& found : ranked) sum += found.mean_kld.value;
  return sum;
}

std::string nats_text(double kld) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g nats", kld);
  return text.data();
}

std::string mix_text(const SensitivityFindings& findings) {
  const MixedScheme& mix = *findings.mix;
  std::string text = "\nmix of " + count_text(static_cast<int64_t>(mix.bytes)) + " bytes (" + findings.container +
                     ") within " + count_text(static_cast<int64_t>(findings.budget)) + ": predicted KLD " +
                     nats_text(mix.predicted_kld) + "; all tensors on " + findings.scheme + ": " +
                     nats_text(sum_of_klds(findings.measured.ranked)) + "\n";
  const std::string file = findings.mix_file.empty() ? "FILE" : printable(findings.mix_file.string());
  text += "carat convert " + printable(findings.model) + " OUT --scheme " + file + "\n";
  return findings.mix_file.empty() ? text + "\n" + scheme_to_json(mix.scheme) : text;
}

nlohmann::ordered_json to_json(const std::vector<TensorSensitivity>& tensors) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TensorSensitivity& found : tensors) {
    list.push_back({{"tensor", found.tensor},
                    {"stored", found.stored},
                    {"lattice", dtype_name(found.dtype)},
                    {"group", found.group},
                    {"bytes_before", found.bytes_before},
                    {"bytes_after", found.bytes_after},
                    {"relative_error", found.relative_error},
                    {"mean_kld", found.mean_kld.value},
                    {"mean_kld_stderr", found.mean_kld.standard_error}});
  }
  return list;
}

}  // namespace

void add_sensitivity_options(CLI::App& command, SensitivityOptions& options) {
  CLI::Option* wanted = command.add_flag("--sensitivity", options.wanted,
                                         "Also rank the first model's tensors by what quantizing each alone does");
  command
      .add_option("--scheme", options.scheme,
                  "The lattices that tensors are put on (" + scheme_names() + ", or a JSON file)")
      ->needs(wanted)
      ->capture_default_str()
      ->type_name("SCHEME");
  command.add_option("--tokens", options.tokens, "Rank with the first N tokens of the text")
      ->needs(wanted)
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N");
  CLI::Option* budget = command.add_option("--budget", options.budget,
                                           "Recommend a mixed scheme whose tensors take at most this, such as 950M");
  budget->needs(wanted)->transform(size_in_bytes())->type_name("SIZE");
  command.add_option("--scheme-out", options.scheme_out, "Write that scheme, for carat convert --scheme")
      ->needs(budget)
      ->type_name("FILE");
}

Result<uint64_t> prepare_sensitivity(const SensitivityOptions& options, const Checkpoint& checkpoint,
                                     bool spare_memory) {
  CARAT_TRY(const Scheme scheme, load_scheme(options.scheme, checkpoint.config()));
  const auto trials = sensitivity_trials(checkpoint, scheme, options.budget > 0);
  if (trials.empty()) {
    return wrong_usage("--sensitivity: the scheme " + in_quotes(scheme.name) + " leaves every tensor of " +
                       checkpoint.path().string() + " on the lattice that it is stored on; name another scheme");
  }
  if (options.budget > 0) {
    const MixChoices choices = mix_choices(checkpoint, scheme, before_trials(scheme, trials));
    CARAT_TRY_STATUS(recommend_scheme(choices.tensors, choices.fixed_bytes, options.budget));
  }
  return largest_trial_bytes(trials) + kRowBytes + (spare_memory ? 0 : kLogitsInMemory);
}

Result<SensitivityFindings> find_sensitivity(const SensitivityOptions& options, const std::string& name, Model& model,
                                             const EvalText& text, const WindowOptions& windows, ThreadPool& threads,
                                             bool spare_memory) {
  CARAT_TRY(const Scheme scheme, load_scheme(options.scheme, model.config()));
  const auto trials = sensitivity_trials(model.checkpoint(), scheme, options.budget > 0);
  EvalText used = text;
  used.shorten(options.tokens);
  const auto runs = static_cast<int64_t>(trials.size()) + 1;
  write_note("sensitivity: " + std::to_string(runs) + " runs of " + count_text(used.tokens()) + " tokens, " +
             count_text(runs * used.tokens()) + " in all");
  const std::atomic<bool>& interrupted = watch_interrupts();
  Progress line("sensitivity", "tokens", runs * used.tokens());
  const EvalProgress progress = [&](int64_t done, int64_t) {
    line.update(done);
    return !interrupted;
  };

  SensitivityFindings findings = {.model = name,
                                  .scheme = scheme.name,
                                  .container = std::string(container_name(container_of(scheme))),
                                  .tokens = used.tokens(),
                                  .budget = options.budget};
  CARAT_TRY(findings.measured, measure_sensitivity(model, scheme, trials, {used, windows, threads, progress},
                                                   spare_memory ? 0 : kLogitsInMemory));
  if (options.budget == 0 || findings.measured.left_out > 0) return findings;
  const MixChoices choices = mix_choices(model.checkpoint(), scheme, findings.measured);
  CARAT_TRY(findings.mix, recommend_scheme(choices.tensors, choices.fixed_bytes, options.budget));
  findings.mix_file = options.scheme_out;
  if (!findings.mix_file.empty()) {
    CARAT_TRY_STATUS(write_file(findings.mix_file, scheme_to_json(findings.mix->scheme)));
  }
  return findings;
}

std::string sensitivity_text(const SensitivityFindings& findings) {
  std::string text = "sensitivity of " + printable(findings.model) + " to " + findings.scheme +
                     ": each tensor alone, " + "against the model as it is, " + count_text(findings.tokens) +
                     " tokens\n";
  text += ranking_text(findings.measured.ranked);
  if (findings.measured.left_out > 0) {
    text += "interrupted: " + std::to_string(findings.measured.left_out) + " runs were not made\n";
  }
  return findings.mix ? text + mix_text(findings) : text;
}

nlohmann::ordered_json to_json(const SensitivityFindings& findings) {
  nlohmann::ordered_json json = {{"model", findings.model},
                                 {"scheme", findings.scheme},
                                 {"tokens", findings.tokens},
                                 {"tensors", to_json(findings.measured.ranked)},
                                 {"wider", to_json(findings.measured.wider)},
                                 {"runs_left_out", findings.measured.left_out},
                                 {"mix", nullptr}};
  if (findings.mix) {
    json["mix"] = {{"budget", findings.budget},
                   {"container", findings.container},
                   {"bytes", findings.mix->bytes},
                   {"predicted_kld", findings.mix->predicted_kld},
                   {"scheme", nlohmann::ordered_json::parse(scheme_to_json(findings.mix->scheme), nullptr, false)}};
  }
  return json;
}

}  // namespace carat
