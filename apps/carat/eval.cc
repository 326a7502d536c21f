#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <optional>

#include "base/file_map.h"
#include "base/memory.h"
#include "commands.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"
#include "figures.h"
#include "interrupt.h"
#include "model_options.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "text/tokenizer.h"

namespace carat {
namespace {

constexpr size_t kTextLimit = size_t{1} << 30;

struct EvalOptions {
  ModelOptions model;
  std::filesystem::path text;
  std::filesystem::path reference;
  int64_t context = WindowOptions{}.positions;
  std::string cache_type = "f32";
  bool json = false;
};

struct Evaluation {
  Perplexity perplexity;
  std::optional<Divergence> divergence;  // when there is a reference
  double tokens_per_s = 0;
  uint64_t model_bytes = 0;
};

uint64_t tensor_bytes_of(const Checkpoint& checkpoint) {
  uint64_t bytes = 0;
  for (const NamedTensor& tensor : checkpoint.tensors()) bytes += tensor.view.data.size();
  return bytes;
}

Result<std::vector<int32_t>> read_ids(const std::filesystem::path& path, const Vocabulary& vocabulary) {
  CARAT_TRY(const Tokenizer tokenizer, Tokenizer::create(vocabulary));
  CARAT_TRY(const std::string text, read_text_file(path, kTextLimit));
  if (text.empty()) return wrong_usage(path.string() + ": the text is empty; nothing can be evaluated");
  return tokenizer.encode(text);
}

Result<Evaluation> evaluate(Model& model, Model* reference, std::span<const int32_t> ids, const EvalOptions& options) {
  const std::atomic<bool>& interrupted = watch_interrupts();
  Progress line("eval", "tokens", static_cast<int64_t>(ids.size()));
  const EvalProgress progress = [&](int64_t done, int64_t) {
    line.update(done);
    return !interrupted;
  };
  CARAT_TRY(const DType cache_type, cache_type_named(options.cache_type));
  const WindowOptions windows = {.positions = options.context, .cache_type = cache_type};
  const auto start = std::chrono::steady_clock::now();
  Evaluation evaluation;
  if (reference != nullptr) {
    CARAT_TRY(evaluation.divergence, measure_divergence(model, *reference, ids, windows, progress));
    evaluation.perplexity = evaluation.divergence->model;
  } else {
    CARAT_TRY(evaluation.perplexity, measure_perplexity(model, ids, windows, progress));
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  evaluation.tokens_per_s = static_cast<double>(ids.size()) / elapsed.count();
  evaluation.model_bytes = tensor_bytes_of(model.checkpoint());
  return evaluation;
}

nlohmann::ordered_json to_json(const Evaluation& evaluation, const EvalOptions& options) {
  nlohmann::ordered_json json = {{"tokens", evaluation.perplexity.tokens},
                                 {"perplexity", evaluation.perplexity.perplexity},
                                 {"perplexity_stderr", evaluation.perplexity.perplexity_stderr},
                                 {"mean_kld", nullptr},
                                 {"mean_kld_stderr", nullptr},
                                 {"top1_agreement", nullptr},
                                 {"reference", nullptr}};
  if (evaluation.divergence) {
    json["mean_kld"] = evaluation.divergence->mean_kld;
    json["mean_kld_stderr"] = evaluation.divergence->mean_kld_stderr;
    json["top1_agreement"] = evaluation.divergence->top1_agreement;
    json["reference"] = options.reference.string();
  }
  json["model_bytes"] = evaluation.model_bytes;
  json["tokens_per_s"] = evaluation.tokens_per_s;
  json["peak_rss_bytes"] = peak_rss_bytes();
  return json;
}

void print_row(const char* name, const std::string& value) { std::printf("%-22s%s\n", name, value.c_str()); }

std::string with_error(const char* format, double value, double error) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value, error);
  return text.data();
}

void print_table(const Evaluation& evaluation) {
  const Perplexity& model = evaluation.perplexity;
  print_row("tokens", std::to_string(model.tokens));
  print_row("perplexity", with_error("%.4f ± %.4f", model.perplexity, model.perplexity_stderr));
  if (const auto& divergence = evaluation.divergence) {
    const Perplexity& reference = divergence->reference;
    print_row("reference perplexity", with_error("%.4f ± %.4f", reference.perplexity, reference.perplexity_stderr));
    print_row("mean KL divergence", with_error("%.6f ± %.6f nats", divergence->mean_kld, divergence->mean_kld_stderr));
    print_row("top-1 agreement", with_error("%.2f %%", 100 * divergence->top1_agreement, 0));
  }
  print_row("model", bytes_text(evaluation.model_bytes));
  print_row("speed", rate_text(evaluation.tokens_per_s) + " tokens/s");
  print_row("peak memory", bytes_text(peak_rss_bytes()));
}

Status run_eval(const EvalOptions& options) {
  CARAT_TRY(const std::unique_ptr<Ops> ops, create_ops(options.model.threads));
  CARAT_TRY(Model model, Model::load(options.model.model, *ops));
  std::optional<Model> reference;
  if (!options.reference.empty()) {
    CARAT_TRY(reference, Model::load(options.reference, *ops));
    CARAT_TRY_STATUS(check_same_vocabulary(model.vocabulary(), reference->vocabulary()));
  }
  CARAT_TRY(const std::vector<int32_t> ids, read_ids(options.text, model.vocabulary()));
  CARAT_TRY(const Evaluation evaluation, evaluate(model, reference ? &*reference : nullptr, ids, options));
  if (options.json) return write_output_json(to_json(evaluation, options));
  print_table(evaluation);
  return write_output("");
}

}  // namespace

void add_eval_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Measures perplexity, and the distance from a reference model");
  add_model_options(*command, options->model);
  command->add_option("--text", options->text, "The text to predict")->required()->type_name("FILE");
  command->add_option("--reference", options->reference, "The model to be compared with")->type_name("MODEL");
  command->add_option("-c,--context", options->context, "Positions of a window")
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N");
  command
      ->add_option("--cache-type", options->cache_type, "How the model keeps keys and values; the reference uses f32")
      ->check(CLI::IsMember({"f32", "f16", "q8_0", "q4_0"}))
      ->capture_default_str()
      ->type_name("f32|f16|q8_0|q4_0");
  command->add_flag("--json", options->json, "Write one JSON object instead of a table");
  command->callback([options, &chosen] { chosen = [options] { return run_eval(*options); }; });
}

}  // namespace carat
