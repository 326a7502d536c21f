#include "eval/windows.h"

#include <algorithm>
#include <string>
#include <utility>

namespace carat {
namespace {

/// Windows of several models run side by side, each on its own cache.
class SideBySide {
 public:
  /// `kept` is how each model keeps keys and values.
  SideBySide(std::span<Model* const> models, int64_t positions, std::span<const CacheOptions> kept)
      : models_(models), rows_(positions) {
    for (size_t m = 0; m < models.size(); ++m) {
      caches_.emplace_back(models[m]->config(), positions, kept[m]);
      rows_ = std::min(rows_, models[m]->logit_rows());
    }
    logits_.resize(models.size());
    predictions_.resize(models.size());
  }

  /// Ids that can be fed at once.
  size_t rows() const { return static_cast<size_t>(rows_); }

  void begin_window() {
    for (KvCache& cache : caches_) cache.clear();
  }

  Status feed(std::span<const int32_t> ids) {
    for (size_t m = 0; m < models_.size(); ++m) {
      CARAT_TRY_STATUS(caches_[m].reserve(caches_[m].size() + static_cast<int64_t>(ids.size())));
      CARAT_TRY(logits_[m], models_[m]->all_logits(ids, caches_[m]));
      CARAT_TRY_STATUS(models_[m]->check_finite(logits_[m]));
    }
    return success();
  }

  /// Each model's logits after the id that was fed as number `row`.
  std::span<const std::span<const float>> after(size_t row) {
    for (size_t m = 0; m < models_.size(); ++m) {
      const auto V = static_cast<size_t>(models_[m]->config().vocabulary);
      predictions_[m] = logits_[m].subspan(row * V, V);
    }
    return predictions_;
  }

 private:
  std::span<Model* const> models_;
  int64_t rows_;
  std::vector<KvCache> caches_;
  std::vector<std::span<const float>> logits_;       // [rows, V] of each model
  std::vector<std::span<const float>> predictions_;  // [V] of each model
};

Status check_text(std::span<Model* const> models, std::span<const int32_t> ids) {
  if (ids.empty()) return wrong_usage("the text has no tokens: nothing can be evaluated");
  for (const Model* model : models) {
    if (model->vocabulary().bos < 0)
      return refused("the vocabulary has no <bos> token, which every window begins with");
    CARAT_TRY_STATUS(model->check_ids(ids));
  }
  return success();
}

Result<int64_t> window_positions(std::span<Model* const> models, const WindowOptions& options) {
  int64_t positions = options.positions;
  for (const Model* model : models) positions = std::min(positions, model->config().context);
  if (positions >= 2) return positions;
  return wrong_usage("a window needs 2 positions or more, found " + std::to_string(positions));
}

Result<std::vector<CacheOptions>> kept_by(std::span<Model* const> models, std::optional<DType> type_of_first) {
  std::vector<CacheOptions> kept;
  for (const Model* model : models) {
    CARAT_TRY(CacheOptions options, model->cache_options(kept.empty() ? type_of_first : std::nullopt));
    kept.push_back(std::move(options));
  }
  return kept;
}

}  // namespace

Status visit_predictions(std::span<Model* const> models, std::span<const int32_t> ids, const WindowOptions& options,
                         const EvalProgress& progress, const PredictionVisitor& visit) {
  CARAT_TRY_STATUS(check_text(models, ids));
  CARAT_TRY(const int64_t positions, window_positions(models, options));
  CARAT_TRY(const std::vector<CacheOptions> kept, kept_by(models, options.cache_type));
  SideBySide side_by_side(models, positions, kept);
  const auto predicted_per_window = static_cast<size_t>(positions - 1);
  std::vector<int32_t> window;

  for (size_t begin = 0; begin < ids.size(); begin += predicted_per_window) {
    const std::span<const int32_t> targets = ids.subspan(begin, std::min(predicted_per_window, ids.size() - begin));
    // The last target is predicted, not fed.
    window.assign(1, models.front()->vocabulary().bos);
    window.insert(window.end(), targets.begin(), targets.end() - 1);
    side_by_side.begin_window();
    for (size_t done = 0; done < window.size();) {
      const size_t count = std::min(side_by_side.rows(), window.size() - done);
      CARAT_TRY_STATUS(side_by_side.feed(std::span(window).subspan(done, count)));
      for (size_t row = 0; row < count; ++row) visit(targets[done + row], side_by_side.after(row));
      done += count;
      if (!progress(static_cast<int64_t>(begin + done), static_cast<int64_t>(ids.size()))) {
        return Error{ErrorKind::kInterrupted, "interrupted while reading the text"};
      }
    }
  }
  return success();
}

}  // namespace carat
