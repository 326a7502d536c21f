#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/cpu.h"
#include "commands.h"
#include "figures.h"
#include "numbers.h"
#include "output.h"
#include "own_command.h"

namespace carat {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct DemoOptions {
  fs::path model = "models/opal";
  fs::path output = "build/demo";
  fs::path text;  ///< to train on; the model writes its own when there is none
  int threads = available_cores();
  uint64_t seed = 1;
};

/// The recipe of quantization-aware training, sized for a few minutes on two cores.
const std::vector<std::string> kRecipe = {"--scheme", "q4_0", "--steps",    "120", "--warmup", "10",
                                          "--batch",  "4",    "--sequence", "256", "--lr",     "0.0001"};
constexpr const char* kGeneratedTokens = "61440";
constexpr const char* kOpening = "Once upon a time there was";
constexpr int kStoryTokens = 160;
constexpr int kTimedTokens = 400;

/// One line of the table.
struct Row {
  std::string name;
  Json eval, run;
};

class Demo {
 public:
  explicit Demo(const DemoOptions& options) : options_(options) {}

  Status go() {
    std::error_code error;
    fs::create_directories(options_.output, error);
    if (error) return failed(options_.output.string() + ": cannot be created: " + error.message());
    CARAT_TRY_STATUS(quantize_by_rounding());
    CARAT_TRY_STATUS(train());
    CARAT_TRY_STATUS(measure());
    return tell_story();
  }

 private:
  std::string at(const char* name) const { return (options_.output / name).string(); }

  /// Shows the command, so that it can be repeated by hand, and runs it.
  Result<std::string> carat(const std::vector<std::string>& arguments) {
    std::string line = "\n$ carat";
    for (const std::string& argument : arguments) {
      const bool plain = argument.find(' ') == std::string::npos;
      line += plain ? " " + argument : " \"" + argument + "\"";
    }
    std::fprintf(stderr, "%s\n", line.c_str());
    return run_own_command(arguments);
  }

  Result<Json> carat_json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    CARAT_TRY(const std::string output, carat(arguments));
    Json json = Json::parse(output, nullptr, /*allow_exceptions=*/false);
    CARAT_CHECK(json.is_object(), "a command with --json writes an object");
    return json;
  }

  Status quantize_by_rounding() {
    CARAT_TRY([[maybe_unused]] const Json json,
              carat_json({"convert", options_.model.string(), at("ptq.gguf"), "--scheme", "q4_0"}));
    return success();
  }

  Status train() {
    std::vector<std::string> command = {"train", "-m", options_.model.string(), "-o", at("qat")};
    command.insert(command.end(), kRecipe.begin(), kRecipe.end());
    command.insert(command.end(), {"--seed", std::to_string(options_.seed), "-t", std::to_string(options_.threads)});
    if (options_.text.empty()) {
      command.insert(command.end(), {"--generate", kGeneratedTokens});
    } else {
      command.insert(command.end(), {"--text", options_.text.string()});
    }
    CARAT_TRY([[maybe_unused]] const std::string output, carat(command));
    CARAT_TRY([[maybe_unused]] const Json json, carat_json({"convert", at("qat"), at("qat.gguf")}));
    return success();
  }

  Status measure() {
    const std::array<std::pair<const char*, std::string>, 3> models = {
        {{"float", options_.model.string()}, {"PTQ", at("ptq.gguf")}, {"QAT", at("qat.gguf")}}};
    const std::string threads = std::to_string(options_.threads);
    const std::string text = (options_.model / "held_out.txt").string();
    std::vector<Row> rows;
    for (const auto& [name, path] : models) {
      CARAT_TRY(Json eval, carat_json({"eval", "-m", path, "--text", text, "--reference", options_.model.string(), "-t",
                                       threads}));
      CARAT_TRY(Json run, carat_json({"run", "-m", path, "-p", kOpening, "-n", std::to_string(kTimedTokens), "--seed",
                                      std::to_string(options_.seed), "-t", threads}));
      rows.push_back({name, std::move(eval), std::move(run)});
    }
    return print_table(rows);
  }

  static Status print_table(const std::vector<Row>& rows) {
    std::string table =
        "\n| model | weights | perplexity | KL to float | top-1 agreement | decode tokens/s | peak memory |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n";
    for (const Row& row : rows) {
      std::array<char, 256> line{};
      std::snprintf(line.data(), line.size(), "| %s | %s | %.2f ± %.2f | %.5f | %.1f %% | %.0f | %s |\n",
                    row.name.c_str(), bytes_text(row.eval["model_bytes"].get<uint64_t>()).c_str(),
                    row.eval["perplexity"].get<double>(), row.eval["perplexity_stderr"].get<double>(),
                    row.eval["mean_kld"].get<double>(), 100 * row.eval["top1_agreement"].get<double>(),
                    row.run["decode_tokens_per_s"].get<double>(),
                    bytes_text(row.run["peak_rss_bytes"].get<uint64_t>()).c_str());
      table += line.data();
    }
    return write_output(table);
  }

  Status tell_story() {
    CARAT_TRY(const Json story,
              carat_json({"run", "-m", at("qat.gguf"), "-p", kOpening, "-n", std::to_string(kStoryTokens), "--temp",
                          "0.7", "--seed", std::to_string(options_.seed), "-t", std::to_string(options_.threads)}));
    return write_output("\n" + (kOpening + story["text"].get<std::string>()) + "\n");
  }

  const DemoOptions& options_;
};

}  // namespace

void add_demo_command(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("demo", "The whole job on a small model: round, train, export, measure, write a story");
  const auto options = std::make_shared<DemoOptions>();
  command->add_option("-m,--model", options->model, "Folder of a float model, with held_out.txt")
      ->capture_default_str()
      ->type_name("FOLDER");
  command->add_option("-o,--output", options->output, "Folder for what it makes")
      ->capture_default_str()
      ->type_name("FOLDER");
  command->add_option("--text", options->text, "Text to train on; without it the model writes its own")
      ->type_name("FILE");
  command->add_option("--seed", options->seed, "Of the training and of the story")
      ->check(seed_number())
      ->capture_default_str()
      ->type_name("N");
  command->add_option("-t,--threads", options->threads, "Processor threads")
      ->check(count_of_at_least(1))
      ->capture_default_str()
      ->type_name("N");
  command->callback([options, &chosen] { chosen = [options] { return Demo(*options).go(); }; });
}

}  // namespace carat
