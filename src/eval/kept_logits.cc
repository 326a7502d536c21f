#include "eval/kept_logits.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "eval/prediction.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

/// A folder for one file, that nobody else can open; both are gone at the end of the scope.
class PrivateFolder {
 public:
  static Result<PrivateFolder> create() {
    std::error_code error;
    const fs::path parent = fs::temp_directory_path(error);
    std::string name = (parent / "carat-XXXXXX").string();
    if (error || ::mkdtemp(name.data()) == nullptr) {
      return failed(name + ": cannot create a temporary folder; set TMPDIR to a folder that can be written");
    }
    return PrivateFolder(name);
  }
  PrivateFolder(PrivateFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
  PrivateFolder& operator=(PrivateFolder&&) = delete;
  ~PrivateFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  fs::path file() const { return path_ / "logits"; }

 private:
  explicit PrivateFolder(fs::path path) : path_(std::move(path)) {}

  fs::path path_;
};

}  // namespace

Result<KeptLogits> KeptLogits::of(Model& model, const EvalTask& task, uint64_t memory) {
  KeptLogits kept;
  const auto rows = static_cast<uint64_t>(task.text.tokens());
  const auto V = static_cast<uint64_t>(model.config().vocabulary);
  if (rows > memory / (V * sizeof(float))) {
    CARAT_TRY_STATUS(kept.save(model, task));
    return kept;
  }
  kept.rows_.reserve(rows * V);
  Model* const models[] = {&model};
  CARAT_TRY_STATUS(visit_predictions(models, task.text, task.windows, task.progress, [&](const Predictions& seen) {
    kept.rows_.insert(kept.rows_.end(), seen.logits.front().begin(), seen.logits.front().end());
    return success();
  }));
  return kept;
}

Status KeptLogits::save(Model& model, const EvalTask& task) {
  CARAT_TRY(const PrivateFolder folder, PrivateFolder::create());
  CARAT_TRY_STATUS(save_reference(model, {.reference = "the model as it is"}, task, folder.file()));
  // The mapped file lives on without a name.
  CARAT_TRY(file_, ReferenceLogits::open(folder.file()));
  return success();
}

Result<Estimate> KeptLogits::mean_kld(Model& model, const EvalTask& task) const {
  if (file_) {
    CARAT_TRY(const TextComparison found, compare_with_logits(model, *file_, task));
    return found.whole.mean_kld;
  }
  Model* const models[] = {&model};
  const auto V = static_cast<size_t>(model.config().vocabulary);
  std::vector<double> klds;
  RunningMean mean;
  CARAT_TRY_STATUS(visit_predictions(models, task.text, task.windows, task.progress, [&](const Predictions& seen) {
    const size_t T = seen.targets.size();
    const auto kept = std::span(rows_).subspan(static_cast<size_t>(seen.first) * V, T * V);
    klds.resize(T);
    task.threads.parallel_for(static_cast<int64_t>(T), 1, [&](int64_t begin, int64_t end) {
      for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
        const auto logits = seen.logits.front().subspan(t * V, V);
        klds[t] = judge_prediction(seen.targets[t], logits, kept.subspan(t * V, V)).distance->kld;
      }
    });
    for (const double kld : klds) mean.add(kld);
    return success();
  }));
  return mean.estimate();
}

}  // namespace carat
