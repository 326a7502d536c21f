#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "formats/folder.h"
#include "formats/scheme_json.h"
#include "formats/source_files.h"
#include "interrupt.h"
#include "lattice/lattice.h"
#include "model/preset.h"
#include "parse_and_run.h"
#include "program_version.h"
#include "progress.h"
#include "text/tokenizer.h"
#include "train/self_text.h"
#include "train/trainer.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

struct TrainRequest {
  std::string model, preset, tokenizer, scheme, log;
  std::vector<std::string> text;
  int64_t generated_tokens = 65536;
  TrainOptions options;
};

/// What the run starts from: a checkpoint to follow, or a fresh shape with a vocabulary.
struct Origin {
  std::optional<Checkpoint> checkpoint;
  ModelConfig config;
  Vocabulary vocabulary;
};

Result<Origin> open_origin(const TrainRequest& request) {
  if (request.model.empty() == request.preset.empty()) {
    return wrong_usage("name either a model to quantize with -m or a fresh shape with --preset");
  }
  Origin origin;
  if (!request.model.empty()) {
    CARAT_TRY(origin.checkpoint, Checkpoint::open(request.model));
    if (origin.checkpoint->container() == Container::kLitertlm) {
      return refused(request.model + ": is a LiteRT-LM bundle; convert it to a folder first, with carat convert");
    }
    origin.config = origin.checkpoint->config();
    origin.vocabulary = origin.checkpoint->vocabulary();
    return origin;
  }
  if (request.tokenizer.empty() || request.text.empty()) {
    return wrong_usage("--preset trains from scratch: it needs --tokenizer FOLDER and --text FILE");
  }
  CARAT_TRY(origin.config, preset_config(request.preset));
  CARAT_TRY(origin.vocabulary, read_folder_vocabulary(request.tokenizer));
  if (origin.vocabulary.size() != origin.config.vocabulary) {
    return refused(request.tokenizer + ": " + std::to_string(origin.vocabulary.size()) + " pieces, expected the " +
                   std::to_string(origin.config.vocabulary) + " of the preset " + request.preset);
  }
  return origin;
}

Result<Corpus> open_corpus(const TrainRequest& request, const Origin& origin, const std::atomic<bool>& stop) {
  if (!request.text.empty()) {
    CARAT_TRY(const Tokenizer tokenizer, Tokenizer::create(origin.vocabulary));
    return Corpus::from_text_files({request.text.begin(), request.text.end()}, tokenizer);
  }
  Progress progress("writing training text", "tokens", request.generated_tokens);
  SelfTextOptions options{.tokens = request.generated_tokens,
                          .sequence = request.options.sequence,
                          .seed = request.options.seed,
                          .threads = request.options.threads};
  CARAT_TRY(std::vector<int32_t> tokens,
            write_self_text(
                *origin.checkpoint, options, [&](int64_t done) { progress.update(done); }, stop));
  return Corpus::from_tokens(std::move(tokens), origin.vocabulary.bos);
}

/// The files that decide the result: the weights to start from, the texts, the tokenizer of a fresh model, a scheme
/// that is not built in.
Result<std::vector<fs::path>> source_paths(const TrainRequest& request) {
  std::vector<fs::path> paths;
  if (!request.model.empty()) {
    CARAT_TRY(paths, weight_files(request.model));
  } else {
    paths.push_back(folder_tokenizer_file(request.tokenizer));
  }
  paths.insert(paths.end(), request.text.begin(), request.text.end());
  if (built_in_scheme(request.scheme) == nullptr) paths.push_back(request.scheme);
  return paths;
}

/// What the checkpoint is to record of this run, but for the settings that the trainer itself knows.
Result<ProvenanceStep> provenance_of(const TrainRequest& request, const std::atomic<bool>& stop) {
  ProvenanceStep step = {.tool = program_version()};
  step.recipe["device"] = request.options.device;
  step.recipe["threads"] = request.options.threads;
  if (!request.preset.empty()) step.recipe["preset"] = request.preset;
  if (request.text.empty()) step.recipe["generated_tokens"] = request.generated_tokens;
  CARAT_TRY(const std::vector<fs::path> paths, source_paths(request));
  std::optional<Progress> progress;
  CARAT_TRY(step.sources, digest_files(paths, [&](uint64_t done, uint64_t total) {
              if (!progress) progress.emplace("reading sources", "bytes", static_cast<int64_t>(total));
              progress->update(static_cast<int64_t>(done));
              return !stop;
            }));
  return step;
}

/// The log: one JSON object a line, flushed as it is written. Appended to, so that a resumed run continues it.
class Log {
 public:
  static Result<Log> open(const std::string& path) {
    if (path.empty()) return Log(nullptr);
    std::FILE* file = std::fopen(path.c_str(), "a");
    if (file == nullptr) return failed(path + ": cannot be written");
    return Log(file);
  }

  void write(const StepReport& report) {
    if (!file_) return;
    nlohmann::ordered_json line = {{"step", report.step}, {"loss", report.loss}};
    line["kl"] = report.kl ? nlohmann::ordered_json(*report.kl) : nlohmann::ordered_json();
    line["lr"] = report.learning_rate;
    line["tokens_per_s"] = report.tokens_per_s;
    line["peak_rss_bytes"] = report.peak_rss_bytes;
    std::fprintf(file_.get(), "%s\n", line.dump().c_str());
    std::fflush(file_.get());
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  explicit Log(std::FILE* file) : file_(file) {}
  std::unique_ptr<std::FILE, Close> file_;
};

std::string step_detail(const StepReport& report) {
  char text[96];
  std::snprintf(text, sizeof text, "%s %.4f, %.0f tokens/s", report.kl ? "KL" : "loss", report.loss,
                report.tokens_per_s);
  return text;
}

Status run_training(const TrainRequest& request) {
  const std::atomic<bool>& stop = watch_interrupts();
  CARAT_TRY(const Origin origin, open_origin(request));
  TrainOptions options = request.options;
  CARAT_TRY(options.scheme, load_scheme(request.scheme));
  if (has_codes(options.scheme)) {
    return wrong_usage("the scheme \"" + options.scheme.name + "\" has integer codes, which cannot be trained; " +
                       "expected lattices among " + encodable_names());
  }
  CARAT_TRY(options.provenance, provenance_of(request, stop));
  CARAT_TRY(Corpus corpus, open_corpus(request, origin, stop));
  CARAT_TRY(Log log, Log::open(request.log));
  std::fprintf(stderr, "training on %zu tokens\n", corpus.size());

  std::optional<Progress> progress;
  const auto observe = [&](const StepReport& report) {
    if (!progress) progress.emplace("training", "steps", options.steps, report.step - 1);
    progress->update(report.step, step_detail(report));
    log.write(report);
  };
  return train(origin.config, origin.vocabulary, origin.checkpoint ? &*origin.checkpoint : nullptr, corpus, options,
               observe, stop);
}

void add_options(CLI::App& app, TrainRequest& request) {
  TrainOptions& options = request.options;
  options.threads = available_cores();
  app.add_option("-m,--model", request.model, "Float model to start from and to follow")->type_name("MODEL");
  app.add_option("--preset", request.preset, "Train a fresh model of this shape: opal, e2b")->type_name("NAME");
  app.add_option("--tokenizer", request.tokenizer, "Folder with tokenizer.json, for --preset")->type_name("FOLDER");
  app.add_option("--text", request.text, "UTF-8 training text; without it the model writes its own")->type_name("FILE");
  app.add_option("--generate", request.generated_tokens, "Tokens that the model writes when there is no --text")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("-o,--output", options.output, "Folder for the trained checkpoint")->required()->type_name("FOLDER");
  app.add_option("--scheme", request.scheme, "Lattices of the weights: a built-in scheme or a JSON file")
      ->default_val("q4_0")
      ->type_name("SCHEME");
  app.add_option("--steps", options.steps, "Updates")->capture_default_str()->type_name("N");
  app.add_option("--warmup", options.warmup, "Updates over which the learning rate rises")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--batch", options.batch, "Sequences in one forward pass")->capture_default_str()->type_name("N");
  app.add_option("--accumulate", options.accumulate, "Forward passes in one update")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--sequence", options.sequence, "Tokens in a sequence")->capture_default_str()->type_name("N");
  app.add_option("--lr", options.learning_rate, "Learning rate at its peak")->capture_default_str()->type_name("RATE");
  app.add_option("--weight-decay", options.weight_decay, "Decay of matrices")->capture_default_str()->type_name("RATE");
  app.add_option("--seed", options.seed, "Of fresh weights and of the order of the text")
      ->capture_default_str()
      ->type_name("N");
  app.add_option("--save-every", options.save_every, "Steps between saved states; 0: only at the end")
      ->capture_default_str()
      ->type_name("N");
  app.add_flag("--resume", options.resume, "Go on from the state in the output folder");
  app.add_flag("--bf16", options.bfloat16, "Matrix products in bfloat16");
  app.add_option("--device", options.device, "cpu, cuda or cuda:N")->capture_default_str()->type_name("DEVICE");
  app.add_option("-t,--threads", options.threads, "Processor threads")->capture_default_str()->type_name("N");
  app.add_option("--log", request.log, "Append a JSON line for every step to this file")->type_name("FILE");
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  CLI::App app(
      "Trains a model: quantization-aware with distillation from -m, or from scratch with --preset.\n"
      "A MODEL is a .gguf file or a HuggingFace folder.",
      "carat train");
  carat::TrainRequest request;
  carat::add_options(app, request);
  const carat::Work work = [&request] { return carat::run_training(request); };
  return carat::parse_and_run(app, work, argc, argv);
}
