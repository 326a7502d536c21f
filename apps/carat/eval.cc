#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>

#include "base/memory.h"
#include "commands.h"
#include "eval/cache_statistics.h"
#include "eval/divergence.h"
#include "eval/perplexity.h"
#include "figures.h"
#include "fit_report.h"
#include "generation_options.h"
#include "interrupt.h"
#include "memory_limit.h"
#include "model_options.h"
#include "numbers.h"
#include "output.h"
#include "progress.h"
#include "session/plan.h"
#include "text_ids.h"

namespace carat {
namespace {

struct EvalOptions {
  ModelOptions model;
  std::filesystem::path text;
  std::filesystem::path reference;
  int64_t context = WindowOptions{}.positions;
  std::optional<std::string> cache_type;
  bool cache_statistics = false;
  bool json = false;
};

struct Evaluation {
  Perplexity perplexity;
  std::optional<Divergence> divergence;  // when there is a reference
  std::optional<CacheStatistics> fit;    // when it was asked for
  double tokens_per_s = 0;
  uint64_t model_bytes = 0;
};

Result<std::optional<DType>> cache_type_of(const EvalOptions& options) {
  if (!options.cache_type) return std::optional<DType>();
  CARAT_TRY(const DType type, cache_type_named(*options.cache_type));
  return std::optional(type);
}

Result<Evaluation> evaluate(Model& model, Model* reference, std::span<const int32_t> ids, const EvalOptions& options) {
  const std::atomic<bool>& interrupted = watch_interrupts();
  Progress line("eval", "tokens", static_cast<int64_t>(ids.size()));
  const EvalProgress progress = [&](int64_t done, int64_t) {
    line.update(done);
    return !interrupted;
  };
  CARAT_TRY(const std::optional<DType> cache_type, cache_type_of(options));
  const WindowOptions windows = {.positions = options.context, .cache_type = cache_type};
  Evaluation evaluation;
  if (options.cache_statistics) {
    CARAT_TRY(evaluation.fit, CacheStatistics::create(model));
    model.set_observer(&*evaluation.fit);
  }
  const auto start = std::chrono::steady_clock::now();
  if (reference != nullptr) {
    CARAT_TRY(evaluation.divergence, measure_divergence(model, *reference, ids, windows, progress));
    evaluation.perplexity = evaluation.divergence->model;
  } else {
    CARAT_TRY(evaluation.perplexity, measure_perplexity(model, ids, windows, progress));
  }
  model.set_observer(nullptr);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  evaluation.tokens_per_s = static_cast<double>(ids.size()) / elapsed.count();
  evaluation.model_bytes = sizes_of(model.checkpoint()).weights;
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
  if (evaluation.fit) json["cache_statistics"] = fit_json(*evaluation.fit);
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
  if (evaluation.fit) print_fit(*evaluation.fit);
}

/// What the windows of a model take besides the process. Nothing is sampled.
uint64_t bytes_of_windows(const ModelSizes& sizes, int64_t positions, const CacheOptions& kept) {
  const MemoryPlan plan = plan_memory(sizes, {}, positions, kept);
  return plan.total() - plan.sampling;
}

/// Within --max-memory only the batch can be smaller: it changes no figure.
Result<int64_t> choose_batch(const EvalOptions& options, const Checkpoint& model,
                             const std::optional<Checkpoint>& reference, uint64_t held) {
  CARAT_TRY(const std::optional<DType> cache_type, cache_type_of(options));
  const ModelSizes sizes = sizes_of(model);
  const int64_t positions = std::min(options.context, sizes.config.context);
  CARAT_TRY(MemoryWishes wishes, wishes_for(sizes, positions, std::nullopt, cache_type));
  wishes.cache_type_fixed = true;
  uint64_t others = held;
  if (reference) {
    const ModelSizes other = sizes_of(*reference);
    others += bytes_of_windows(other, positions, {.type = default_cache_type(other.config, other.scales)});
  }
  const MemoryCost cost = [&](const MemoryChoice& choice) {
    return others + bytes_of_windows(sizes, positions, {.type = choice.cache_type, .batch = choice.batch});
  };
  CARAT_TRY(const MemoryChoice choice, choose_within(options.model.max_memory, options.model.model, wishes, cost));
  return choice.batch;
}

Status run_eval(const EvalOptions& options) {
  CARAT_TRY(const std::unique_ptr<Ops> ops, create_ops(options.model.threads));
  CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(options.model.model));
  std::optional<Checkpoint> other;
  if (!options.reference.empty()) {
    CARAT_TRY(other, Checkpoint::open(options.reference));
    CARAT_TRY_STATUS(check_same_vocabulary(checkpoint.vocabulary(), other->vocabulary()));
  }
  CARAT_TRY(const std::vector<int32_t> ids, read_ids(options.text, checkpoint.vocabulary()));
  const uint64_t held = std::max(program_bytes(held_bytes(), ops->threads()), peak_rss_bytes());
  CARAT_TRY(const int64_t batch, choose_batch(options, checkpoint, other, held));

  const ModelSettings settings = {.batch = batch,
                                  .input_quantizers = options.model.quantizers.inputs,
                                  .output_quantizers = options.model.quantizers.outputs};
  CARAT_TRY(Model model, Model::create(std::move(checkpoint), *ops, settings));
  std::optional<Model> reference;
  if (other) {
    CARAT_TRY(reference, Model::create(*std::move(other), *ops));
  }
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
  add_quantizer_options(*command, options->model);
  command->add_option("--text", options->text, "The text to predict")->required()->type_name("FILE");
  command->add_option("--reference", options->reference, "The model to be compared with")->type_name("MODEL");
  command->add_option("-c,--context", options->context, "Positions of a window")
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N");
  add_cache_type_option(*command, options->cache_type);
  command->add_flag("--cache-statistics", options->cache_statistics,
                    "Tell how keys, values and inputs fit their static scales");
  command->add_flag("--json", options->json, "Write one JSON object instead of a table");
  command->callback([options, &chosen] { chosen = [options] { return run_eval(*options); }; });
}

}  // namespace carat
