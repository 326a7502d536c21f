#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "base/cpu.h"
#include "commands.h"
#include "formats/convert.h"
#include "formats/quote.h"
#include "formats/source_files.h"
#include "model/mobile_scheme.h"
#include "model_options.h"
#include "output.h"
#include "shown_progress.h"
#include "verify_report.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

struct VerifyRequest {
  fs::path first;
  fs::path second;
  std::string scheme;
  int threads = 0;
  bool json = false;
};

/// The files of a model whose digests are asked for; each is read once.
class DigestedFiles {
 public:
  explicit DigestedFiles(std::vector<fs::path> paths) : paths_(std::move(paths)) {}

  size_t size() const { return paths_.size(); }
  std::string name(size_t i) const { return paths_[i].filename().string(); }

  /// Whether file `i` is the one that is described.
  Result<bool> is(size_t i, const SourceFile& described) {
    std::error_code error;
    if (fs::file_size(paths_[i], error) != described.bytes || error) return false;
    digests_.resize(paths_.size());
    if (digests_[i].empty()) {
      CARAT_TRY(const std::vector<SourceFile> found, digest_files({paths_[i]}, shown_progress("digest", "bytes")));
      digests_[i] = found.front().sha256;
    }
    return digests_[i] == described.sha256;
  }

 private:
  std::vector<fs::path> paths_;
  std::vector<std::string> digests_;
};

/// What `made` says of the files of `other`, from which it may have been made.
Status find_sources(const Checkpoint& made, const Checkpoint& other, std::vector<SourceClaim>& claims) {
  if (made.config().provenance.empty()) return success();
  CARAT_TRY(std::vector<fs::path> paths, weight_files(other.path()));
  DigestedFiles files(std::move(paths));
  for (size_t i = 0; i < files.size(); ++i) {
    std::optional<SourceClaim> claim;
    for (const ProvenanceStep& step : made.config().provenance) {
      for (const SourceFile& source : step.sources) {
        if (claim && claim->same) break;
        CARAT_TRY(const bool same, files.is(i, source));
        if (same || source.name == files.name(i)) {
          claim = SourceClaim{made.path().string(), files.name(i), same, source.sha256};
        }
      }
    }
    if (claim) claims.push_back(std::move(*claim));
  }
  return success();
}

/// The scheme that a checkpoint says it lies on, or that its types amount to. Nothing when it says none.
Result<std::optional<Scheme>> declared_scheme(const Checkpoint& checkpoint) {
  const std::string& recorded = checkpoint.config().scheme;
  const std::string name = recorded.empty() && stores_lattice(checkpoint) ? scheme_of(checkpoint) : recorded;
  if (name.empty()) return std::optional<Scheme>();
  // Any other name could be that of a file which happens to lie here.
  if (built_in_scheme(name) == nullptr && name != kMobileSchemeName) {
    return refused(checkpoint.path().string() + ": records the scheme " + in_quotes(name) +
                   ", whose rules are in a file of their own; name it with --scheme");
  }
  CARAT_TRY(Scheme scheme, load_scheme(name, checkpoint.config()));
  return std::optional(std::move(scheme));
}

Status verify_one(const Checkpoint& checkpoint, const VerifyRequest& request, int threads, VerifyReport& report) {
  std::optional<Scheme> scheme;
  if (!request.scheme.empty()) {
    CARAT_TRY(scheme, load_scheme(request.scheme, checkpoint.config()));
  } else {
    CARAT_TRY(scheme, declared_scheme(checkpoint));
  }
  if (!scheme && !stores_lattice(checkpoint)) {
    report.samples = sample_lattices(checkpoint);
    return success();
  }
  CARAT_TRY(report.lattice,
            check_lattice(checkpoint, scheme ? &*scheme : nullptr, threads, shown_progress("verify", "weights")));
  return success();
}

Status verify_two(const Checkpoint& first, const Checkpoint& second, int threads, VerifyReport& report) {
  CARAT_TRY_STATUS(find_sources(first, second, report.sources));
  CARAT_TRY_STATUS(find_sources(second, first, report.sources));
  CARAT_TRY(report.comparison, compare_checkpoints(first, second, threads, shown_progress("verify", "weights")));
  return success();
}

/// Fails where a model cannot be read to its end.
Status verify_weights(const VerifyRequest& request, VerifyReport& report) {
  const int threads = request.threads > 0 ? request.threads : available_cores();
  std::vector<Checkpoint> checkpoints;
  for (VerifiedModel& model : report.models) {
    CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(model.path));
    model.container = container_name(checkpoint.container());
    checkpoints.push_back(std::move(checkpoint));
  }
  if (checkpoints.size() == 1) return verify_one(checkpoints[0], request, threads, report);
  return verify_two(checkpoints[0], checkpoints[1], threads, report);
}

Status verify(const VerifyRequest& request) {
  if (!request.second.empty() && !request.scheme.empty()) {
    return wrong_usage("--scheme: two models are compared with each other, whatever their schemes; name one model");
  }
  VerifyReport report;
  for (const fs::path& path : {request.first, request.second}) {
    if (path.empty()) continue;
    CARAT_TRY(Integrity integrity, check_integrity(path, shown_progress("digest", "bytes")));
    report.models.push_back({path.string(), {}, std::move(integrity)});
  }
  const Status read = verify_weights(request, report);
  const VerifyResult result = result_of(report);
  if (!read.ok()) {
    if (result != VerifyResult::kDamaged || read.error().kind != ErrorKind::kRefused) return read.error();
    report.refusal = read.error().message;
  }
  CARAT_TRY_STATUS(request.json ? write_output_json(verify_json(report)) : write_output(verify_text(report)));
  return is_proven(result) ? success() : Status(refused(verdict_of(report)));
}

}  // namespace

void add_verify_command(CLI::App& app, Work& chosen) {
  const auto request = std::make_shared<VerifyRequest>();
  CLI::App* command = app.add_subcommand("verify", "Proves that two models hold the same weights, or one its lattice");
  command->add_option("model", request->first, "A .gguf file, a HuggingFace folder or a .litertlm bundle")
      ->required()
      ->type_name("MODEL");
  command->add_option("other", request->second, "Another one to compare it with, whatever their containers")
      ->type_name("OTHER");
  command
      ->add_option(
          "--scheme", request->scheme,
          "The lattice of a single model (" + scheme_names() + ", or a JSON file); what it declares when not given")
      ->type_name("SCHEME");
  command->add_option("-t,--threads", request->threads, "Threads; as many as there are cores when not given")
      ->check(CLI::Range(1, kMostThreads))
      ->type_name("N");
  command->add_flag("--json", request->json, "Write one JSON object instead of tables");
  command->callback([request, &chosen] { chosen = [request] { return verify(*request); }; });
}

}  // namespace carat
