#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "base/file_write.h"
#include "base/memory.h"
#include "commands.h"
#include "eval/report.h"
#include "eval/same_run.h"
#include "eval_json.h"
#include "eval_sensitivity.h"
#include "eval_table.h"
#include "evaluation.h"
#include "figures.h"
#include "formats/convert.h"
#include "formats/quote.h"
#include "generation_options.h"
#include "interrupt.h"
#include "memory_limit.h"
#include "model_options.h"
#include "numbers.h"
#include "output.h"
#include "program_version.h"
#include "progress.h"
#include "session/plan.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

// Rows of logits from a file, beside the model's own.
constexpr uint64_t kLogitRowBytes = uint64_t{16} << 20;
// A divergence in the tallies of the whole and of a category, while they grow and while they are sorted.
constexpr uint64_t kTallyBytes = 2 * 3 * sizeof(double);

struct EvalOptions {
  std::vector<fs::path> models;
  ModelOptions compute;
  fs::path text;
  fs::path reference;
  fs::path save_reference;
  fs::path html;
  WindowOptions windows;
  std::optional<std::string> cache_type;
  bool cache_statistics = false;
  SensitivityOptions sensitivity;
  bool json = false;
};

/// What the windows of a model take besides the process. Nothing is sampled.
uint64_t bytes_of_windows(const ModelSizes& sizes, int64_t positions, const CacheOptions& kept) {
  const MemoryPlan plan = plan_memory(sizes, {}, positions, kept);
  return plan.total() - plan.sampling;
}

std::vector<ReportSlice> slices_of(const TextComparison& figures, const std::vector<std::string>& categories) {
  std::vector<ReportSlice> slices = {{"", figures.whole}};
  for (size_t c = 0; c < categories.size(); ++c) slices.push_back({categories[c], figures.categories[c]});
  return slices;
}

bool is_same_file(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  return a == b || fs::equivalent(a, b, ignored);
}

/// One run of the command.
class Evaluation {
 public:
  explicit Evaluation(const EvalOptions& options) : options_(options), windows_(options.windows) {}

  Status run() {
    CARAT_TRY_STATUS(check_options());
    CARAT_TRY(ops_, create_ops(options_.compute.threads));
    CARAT_TRY_STATUS(open());
    held_ = std::max(program_bytes(held_bytes(), ops_->threads()), peak_rss_bytes()) +
            kTallyBytes * static_cast<uint64_t>(text_.tokens());
    if (!options_.save_reference.empty()) {
      CARAT_TRY_STATUS(save());
    } else if (reference_) {
      CARAT_TRY(reference_model_, Model::create(*std::move(reference_), *ops_));
    }
    for (size_t m = 0; m < checkpoints_.size(); ++m) {
      CARAT_TRY_STATUS(evaluate(options_.models[m], std::move(checkpoints_[m])));
      release_free_memory();
    }
    reference_model_.reset();
    if (options_.sensitivity.wanted) CARAT_TRY_STATUS(rank_tensors());
    CARAT_TRY_STATUS(write());
    if (!sensitivity_ || sensitivity_->measured.left_out == 0) return success();
    return Error{ErrorKind::kInterrupted, "interrupted: the ranking is of those tensors that were measured"};
  }

 private:
  Status check_options() const {
    if (options_.models.empty() && (options_.save_reference.empty() || options_.sensitivity.wanted)) {
      return wrong_usage("carat eval needs a model to evaluate: -m MODEL");
    }
    CARAT_TRY_STATUS(check_outputs());
    if (options_.save_reference.empty()) return success();
    if (options_.reference.empty()) return wrong_usage("--save-reference needs the model to run: --reference MODEL");
    if (is_reference_logits(options_.reference)) {
      return wrong_usage("--save-reference: " + options_.reference.string() + " already holds logits; name the model");
    }
    return success();
  }

  /// What cannot be written at the end is refused before the work, and no input is replaced.
  Status check_outputs() const {
    std::vector<fs::path> taken = options_.models;
    taken.insert(taken.end(), {options_.text, options_.reference});
    for (const fs::path& output : {options_.save_reference, options_.html, options_.sensitivity.scheme_out}) {
      if (output.empty()) continue;
      for (const fs::path& other : taken) {
        if (!is_same_file(output, other)) continue;
        return wrong_usage(output.string() + ": would take the place of " + other.string() + "; name another file");
      }
      CARAT_TRY(const AtomicFile writable, AtomicFile::create(output));
      taken.push_back(output);
    }
    return success();
  }

  /// Opens all files and settles what the models have in common.
  Status open() {
    for (const fs::path& path : options_.models) {
      CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(path));
      checkpoints_.push_back(std::move(checkpoint));
    }
    if (is_reference_logits(options_.reference)) {
      CARAT_TRY(logits_, ReferenceLogits::open(options_.reference));
    } else if (!options_.reference.empty()) {
      CARAT_TRY(reference_, Checkpoint::open(options_.reference));
    }
    std::vector<const Checkpoint*> all;
    for (const Checkpoint& checkpoint : checkpoints_) all.push_back(&checkpoint);
    if (reference_) all.push_back(&*reference_);
    std::vector<int64_t> contexts;
    for (const Checkpoint* checkpoint : all) {
      CARAT_TRY_STATUS(check_same_vocabulary(all.front()->vocabulary(), checkpoint->vocabulary()));
      contexts.push_back(checkpoint->config().context);
    }
    CARAT_TRY(windows_.positions, window_positions(options_.windows, contexts));
    if (options_.cache_type) {
      CARAT_TRY(windows_.cache_type, cache_type_named(*options_.cache_type));
    }
    if (options_.sensitivity.wanted) {
      CARAT_TRY(sensitivity_bytes_, prepare_sensitivity(options_.sensitivity, checkpoints_.front(), spare_memory()));
    }
    CARAT_TRY(text_, read_eval_text(options_.text, all.front()->vocabulary()));
    setting_ = {.text = options_.text.string(),
                .categories = text_.categories,
                .tokens = text_.tokens(),
                .documents = text_.documents.size(),
                .positions = windows_.positions,
                .overlap = windows_.overlap,
                .reference = logits_ ? logits_->header().origin : LogitsOrigin{options_.reference.string(), ""},
                .reference_logits = logits_ ? options_.reference.string() : options_.save_reference.string()};
    return success();
  }

  /// Calls `work` with the task, whose progress is shown as that of `label`.
  template <typename Work>
  auto with_task(const std::string& label, const WindowOptions& windows, Work&& work) {
    const std::atomic<bool>& interrupted = watch_interrupts();
    Progress line(label, "tokens", text_.tokens());
    const EvalProgress progress = [&](int64_t done, int64_t) {
      line.update(done);
      return !interrupted;
    };
    return work(EvalTask{text_, windows, ops_->pool(), progress});
  }

  /// Within --max-memory only the batch can be smaller: it changes no figure. `others` is what all but this model
  /// takes.
  Result<int64_t> choose_batch(const fs::path& path, const Checkpoint& checkpoint, std::optional<DType> cache_type,
                               uint64_t others) const {
    const ModelSizes sizes = sizes_of(checkpoint);
    CARAT_TRY(MemoryWishes wishes, wishes_for(sizes, windows_.positions, std::nullopt, cache_type));
    wishes.cache_type_fixed = true;
    const MemoryCost cost = [&](const MemoryChoice& choice) {
      const CacheOptions kept = {.type = choice.cache_type, .batch = choice.batch};
      return others + bytes_of_windows(sizes, windows_.positions, kept);
    };
    CARAT_TRY(const MemoryChoice choice, choose_within(options_.compute.max_memory, path, wishes, cost));
    return choice.batch;
  }

  Status save() {
    CARAT_TRY(setting_.reference.weights_sha256,
              weights_digest(options_.reference, [](uint64_t, uint64_t) { return !watch_interrupts(); }));
    CARAT_TRY(const int64_t batch, choose_batch(options_.reference, *reference_, std::nullopt, held_));
    CARAT_TRY(Model model, Model::create(*std::move(reference_), *ops_, {.batch = batch}));
    reference_.reset();
    WindowOptions windows = windows_;
    windows.cache_type.reset();
    const auto work = [&](const EvalTask& task) -> Status {
      CARAT_TRY(const LogitsHeader header, logits_header(model, setting_.reference, task));
      write_note(options_.save_reference.string() + ": logits of " + count_text(header.predictions) + " predictions, " +
                 bytes_text(ReferenceLogitsWriter::file_bytes(header)));
      return save_reference(model, setting_.reference, task, options_.save_reference);
    };
    CARAT_TRY_STATUS(with_task("reference", windows, work));
    CARAT_TRY(logits_, ReferenceLogits::open(options_.save_reference));
    return success();
  }

  /// The reference is opened once more, and closed again: the sampled rows of it do not stay in memory.
  std::vector<std::string> warnings_for(const Checkpoint& checkpoint) const {
    const std::string& name = setting_.reference.reference;
    if (name.empty()) return {};
    const Result<Checkpoint> reference = Checkpoint::open(name);
    if (!reference.ok()) {
      return {"the reference " + printable(name) + " is not there any more, only its logits: whether " +
              printable(checkpoint.path().string()) + " is of the same training run cannot be told"};
    }
    const RunComparison related = relate_runs(checkpoint, *reference);
    if (related.warning.empty()) return {};
    return {related.warning};
  }

  bool spare_memory() const { return options_.compute.max_memory > 0; }

  uint64_t bytes_of_reference() const {
    if (logits_) return kLogitRowBytes;
    if (!reference_model_) return 0;
    const ModelSizes sizes = sizes_of(reference_model_->checkpoint());
    return bytes_of_windows(sizes, windows_.positions, {.type = default_cache_type(sizes.config, sizes.scales)});
  }

  Result<TextComparison> figures_of(Model& model, const EvalTask& task) {
    if (reference_model_) return compare_models(model, *reference_model_, task);
    if (logits_) return compare_with_logits(model, *logits_, task);
    return evaluate_model(model, task);
  }

  /// A model as the options want it; `others` is what all else takes.
  Result<Model> create(const fs::path& path, Checkpoint checkpoint, uint64_t others) const {
    CARAT_TRY(const int64_t batch, choose_batch(path, checkpoint, windows_.cache_type, others));
    const Quantizers& quantizers = options_.compute.quantizers;
    const ModelSettings settings = {
        .batch = batch, .input_quantizers = quantizers.inputs, .output_quantizers = quantizers.outputs};
    return Model::create(std::move(checkpoint), *ops_, settings);
  }

  Status evaluate(const fs::path& path, Checkpoint checkpoint) {
    CARAT_TRY(Model model, create(path, std::move(checkpoint), held_ + bytes_of_reference()));
    ModelEvaluation found = {.model = path.string(),
                             .scheme = scheme_of(model.checkpoint()),
                             .bytes = sizes_of(model.checkpoint()).weights,
                             .warnings = warnings_for(model.checkpoint())};
    for (const std::string& warning : found.warnings) write_note("warning: " + warning);
    std::optional<CacheStatistics> statistics;
    if (options_.cache_statistics) {
      CARAT_TRY(statistics, CacheStatistics::create(model));
      model.set_observer(&*statistics);
    }
    const auto start = std::chrono::steady_clock::now();
    const std::string label = options_.models.size() == 1 ? "eval" : "eval " + found.model;
    CARAT_TRY(found.figures, with_task(label, windows_, [&](const EvalTask& task) { return figures_of(model, task); }));
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    found.tokens_per_s = static_cast<double>(setting_.tokens) / elapsed.count();
    if (statistics) found.fit = StaticFit{statistics->cache(), statistics->inputs()};
    found_.push_back(std::move(found));
    return success();
  }

  /// Of the first model, when all have been evaluated.
  Status rank_tensors() {
    const fs::path& path = options_.models.front();
    CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(path));
    CARAT_TRY(Model model, create(path, std::move(checkpoint), held_ + sensitivity_bytes_));
    CARAT_TRY(sensitivity_, find_sensitivity(options_.sensitivity, path.string(), model, text_, windows_, ops_->pool(),
                                             spare_memory()));
    return success();
  }

  EvalReport report() const {
    EvalReport report = {.tool = program_version(),
                         .text = setting_.text,
                         .windows = windows_text(setting_.positions, setting_.overlap),
                         .reference = setting_.reference.reference};
    for (const ModelEvaluation& found : found_) {
      report.models.push_back({.name = found.model,
                               .scheme = found.scheme,
                               .bytes = found.bytes,
                               .slices = slices_of(found.figures, setting_.categories),
                               .warnings = found.warnings});
    }
    if (sensitivity_) report.sensitivity = sensitivity_->measured.ranked;
    return report;
  }

  Status write() const {
    if (!options_.html.empty()) CARAT_TRY_STATUS(write_file(options_.html, html_report(report())));
    if (options_.json) {
      nlohmann::ordered_json json = to_json(setting_, found_);
      if (sensitivity_) json["sensitivity"] = to_json(*sensitivity_);
      return write_output_json(json);
    }
    std::string text = found_.empty() ? setting_text(setting_) : evaluation_text(setting_, found_);
    if (sensitivity_) text += "\n" + sensitivity_text(*sensitivity_);
    CARAT_TRY_STATUS(write_output(text + "\npeak memory " + bytes_text(peak_rss_bytes()) + "\n"));
    for (const ModelEvaluation& found : found_) {
      if (found.fit) print_fit(*found.fit);
    }
    return write_output("");
  }

  const EvalOptions& options_;
  WindowOptions windows_;  // as all models have them
  std::unique_ptr<Ops> ops_;
  std::vector<Checkpoint> checkpoints_;  // of the models that are still to be evaluated
  std::optional<Checkpoint> reference_;  // before it runs
  std::optional<Model> reference_model_;
  std::optional<ReferenceLogits> logits_;
  EvalText text_;
  EvalSetting setting_;
  uint64_t held_ = 0;               // bytes without any model
  uint64_t sensitivity_bytes_ = 0;  // beside the model
  std::optional<SensitivityFindings> sensitivity_;
  std::vector<ModelEvaluation> found_;
};

void add_window_options(CLI::App& command, EvalOptions& options) {
  command.add_option("-c,--context", options.windows.positions, "Positions of a window")
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option("--overlap", options.windows.overlap,
                  "Ids at the head of a window that repeat the text before, and are not scored again")
      ->check(count_of_at_least(0))
      ->capture_default_str()
      ->type_name("N");
}

void add_reference_options(CLI::App& command, EvalOptions& options) {
  command.add_option("--reference", options.reference, "What to compare with: a model, or a file of --save-reference")
      ->type_name("MODEL|LOGITS");
  command
      .add_option("--save-reference", options.save_reference,
                  "Run the reference first and write its logits, to be compared with now and later")
      ->type_name("FILE");
}

}  // namespace

void add_eval_command(CLI::App& app, Work& chosen) {
  const auto options = std::make_shared<EvalOptions>();
  CLI::App* command = app.add_subcommand("eval", "Measures perplexity, and the distance from a reference model");
  command->add_option("-m,--model", options->models, std::string(kModelHelp) + "; again for more models")
      ->allow_extra_args(false)
      ->type_name("MODEL");
  add_compute_options(*command, options->compute);
  add_quantizer_options(*command, options->compute);
  command
      ->add_option("--text", options->text,
                   "The text to predict; .jsonl: a document a line, {\"text\": \"...\", \"category\": \"...\"}")
      ->required()
      ->type_name("FILE");
  add_reference_options(*command, *options);
  add_window_options(*command, *options);
  add_cache_type_option(*command, options->cache_type);
  add_sensitivity_options(*command, options->sensitivity);
  command->add_flag("--cache-statistics", options->cache_statistics,
                    "Tell how keys, values and inputs fit their static scales");
  command->add_flag("--json", options->json, "Write one JSON object instead of tables");
  command->add_option("--html", options->html, "Write a report with plots as well")->type_name("FILE");
  command->callback([options, &chosen] { chosen = [options] { return Evaluation(*options).run(); }; });
}

}  // namespace carat
