#include "eval/compare.h"

#include <optional>
#include <span>
#include <string>

#include "formats/quote.h"

namespace carat {
namespace {

/// The tallies of a whole text and of its categories.
class TextTally {
 public:
  explicit TextTally(const EvalText& text) : categories_(text.categories.size()) {}

  void add(const EvalDocument& document, const Prediction& prediction) {
    whole_.add(prediction);
    if (document.category) categories_[*document.category].add(prediction);
  }

  TextComparison finish() const {
    TextComparison found{.whole = whole_.finish(), .categories = {}};
    for (const ComparisonTally& tally : categories_) found.categories.push_back(tally.finish());
    return found;
  }

 private:
  ComparisonTally whole_;
  std::vector<ComparisonTally> categories_;
};

/// Judges neighbouring predictions; each is computed whole by one thread, and they are counted in order.
class Judge {
 public:
  Judge(const EvalText& text, ThreadPool& threads) : tally_(text), threads_(threads) {}

  /// `reference` are logits as those of the model, [T, V], or empty.
  void add(const Predictions& predictions, std::span<const float> reference) {
    const auto T = static_cast<int64_t>(predictions.targets.size());
    const std::span<const float> logits = predictions.logits.front();
    const size_t V = logits.size() / predictions.targets.size();
    judged_.resize(predictions.targets.size());
    threads_.parallel_for(T, 1, [&](int64_t begin, int64_t end) {
      for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
        const auto other = reference.empty() ? reference : reference.subspan(t * V, V);
        judged_[t] = judge_prediction(predictions.targets[t], logits.subspan(t * V, V), other);
      }
    });
    for (const Prediction& prediction : judged_) tally_.add(*predictions.document, prediction);
  }

  TextComparison finish() const { return tally_.finish(); }

 private:
  TextTally tally_;
  ThreadPool& threads_;
  std::vector<Prediction> judged_;
};

/// Neighbouring rows of a file, read by several threads.
class LogitRows {
 public:
  LogitRows(const ReferenceLogits& file, ThreadPool& threads) : file_(file), threads_(threads) {}

  /// `count` rows from `first` on, [count, V]; valid until the next call.
  Result<std::span<const float>> read(int64_t first, size_t count) {
    const auto V = static_cast<size_t>(file_.header().vocabulary);
    rows_.resize(count * V);
    statuses_.assign(count, success());
    threads_.parallel_for(static_cast<int64_t>(count), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const auto at = static_cast<size_t>(row);
        statuses_[at] = file_.read(first + row, std::span(rows_).subspan(at * V, V));
      }
    });
    for (const Status& status : statuses_) CARAT_TRY_STATUS(status);
    return std::span<const float>(rows_);
  }

 private:
  const ReferenceLogits& file_;
  ThreadPool& threads_;
  std::vector<float> rows_;
  std::vector<Status> statuses_;
};

}  // namespace

Result<TextComparison> evaluate_model(Model& model, const EvalTask& task) {
  Model* const models[] = {&model};
  Judge judge(task.text, task.threads);
  CARAT_TRY_STATUS(visit_predictions(models, task.text, task.windows, task.progress, [&](const auto& predictions) {
    judge.add(predictions, {});
    return success();
  }));
  return judge.finish();
}

Result<TextComparison> compare_models(Model& model, Model& reference, const EvalTask& task) {
  CARAT_TRY_STATUS(check_same_vocabulary(model.vocabulary(), reference.vocabulary()));
  Model* const models[] = {&model, &reference};
  Judge judge(task.text, task.threads);
  CARAT_TRY_STATUS(visit_predictions(models, task.text, task.windows, task.progress, [&](const auto& predictions) {
    judge.add(predictions, predictions.logits[1]);
    return success();
  }));
  return judge.finish();
}

Result<TextComparison> compare_with_logits(Model& model, const ReferenceLogits& reference, const EvalTask& task) {
  CARAT_TRY(const LogitsHeader wanted, logits_header(model, reference.header().origin, task));
  CARAT_TRY_STATUS(reference.check(wanted));
  Model* const models[] = {&model};
  Judge judge(task.text, task.threads);
  LogitRows rows(reference, task.threads);
  const auto visit = [&](const Predictions& predictions) -> Status {
    CARAT_TRY(const std::span<const float> read, rows.read(predictions.first, predictions.targets.size()));
    judge.add(predictions, read);
    return success();
  };
  CARAT_TRY_STATUS(visit_predictions(models, task.text, task.windows, task.progress, visit));
  return judge.finish();
}

Status save_reference(Model& reference, const LogitsOrigin& origin, const EvalTask& task,
                      const std::filesystem::path& path) {
  CARAT_TRY(const LogitsHeader header, logits_header(reference, origin, task));
  CARAT_TRY(ReferenceLogitsWriter file, ReferenceLogitsWriter::create(path, header));
  Model* const models[] = {&reference};
  CARAT_TRY_STATUS(
      visit_predictions(models, task.text, task.windows, task.progress,
                        [&](const Predictions& predictions) { return file.add(predictions.logits.front()); }));
  return file.commit();
}

Result<LogitsHeader> logits_header(const Model& reference, const LogitsOrigin& origin, const EvalTask& task) {
  const int64_t contexts[] = {reference.config().context};
  CARAT_TRY(const int64_t positions, window_positions(task.windows, contexts));
  return LogitsHeader{.origin = origin,
                      .text_sha256 = text_digest(task.text),
                      .vocabulary_sha256 = vocabulary_digest(reference.vocabulary()),
                      .vocabulary = reference.config().vocabulary,
                      .predictions = task.text.tokens(),
                      .positions = positions,
                      .overlap = task.windows.overlap};
}

Status check_same_vocabulary(const Vocabulary& model, const Vocabulary& reference) {
  const std::string prefix = "the models cannot be compared, their vocabularies differ: ";
  if (model.size() != reference.size()) {
    return refused(prefix + "the model has " + std::to_string(model.size()) + " pieces, the reference " +
                   std::to_string(reference.size()));
  }
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id] == reference.pieces[id]) continue;
    return refused(prefix + "id " + std::to_string(id) + " is " + in_quotes(model.pieces[id]) + " in the model and " +
                   in_quotes(reference.pieces[id]) + " in the reference");
  }
  return success();
}

}  // namespace carat
