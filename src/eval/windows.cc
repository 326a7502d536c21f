#include "eval/windows.h"

#include <algorithm>
#include <utility>
#include <vector>

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
  }

  /// Ids that can be fed at once when all their logits are wanted.
  size_t rows() const { return static_cast<size_t>(rows_); }

  /// A new window, which begins with ids after which no logits are wanted.
  Status begin_window(std::span<const int32_t> ids) {
    for (size_t m = 0; m < models_.size(); ++m) {
      caches_[m].clear();
      if (ids.empty()) continue;
      CARAT_TRY_STATUS(caches_[m].reserve(static_cast<int64_t>(ids.size())));
      CARAT_TRY_STATUS(models_[m]->last_logits(ids, caches_[m]));
    }
    return success();
  }

  /// Each model's logits after each of `ids`, [T, V].
  Result<std::span<const std::span<const float>>> feed(std::span<const int32_t> ids) {
    for (size_t m = 0; m < models_.size(); ++m) {
      CARAT_TRY_STATUS(caches_[m].reserve(caches_[m].size() + static_cast<int64_t>(ids.size())));
      CARAT_TRY(logits_[m], models_[m]->all_logits(ids, caches_[m]));
      CARAT_TRY_STATUS(models_[m]->check_finite(logits_[m]));
    }
    return std::span<const std::span<const float>>(logits_);
  }

 private:
  std::span<Model* const> models_;
  int64_t rows_;
  std::vector<KvCache> caches_;
  std::vector<std::span<const float>> logits_;  // [rows, V] of each model
};

Status check_text(std::span<Model* const> models, const EvalText& text) {
  if (text.tokens() == 0) return wrong_usage("the text has no tokens: nothing can be evaluated");
  for (const Model* model : models) {
    if (model->vocabulary().bos < 0)
      return refused("the vocabulary has no <bos> token, which every window begins with");
    for (const EvalDocument& document : text.documents) CARAT_TRY_STATUS(model->check_ids(document.ids));
  }
  return success();
}

Result<std::vector<CacheOptions>> kept_by(std::span<Model* const> models, std::optional<DType> type_of_first) {
  std::vector<CacheOptions> kept;
  for (const Model* model : models) {
    CARAT_TRY(CacheOptions options, model->cache_options(kept.empty() ? type_of_first : std::nullopt));
    kept.push_back(std::move(options));
  }
  return kept;
}

/// A walk over the windows of a text.
class Walk {
 public:
  Walk(SideBySide& models, int32_t bos, int64_t positions, int64_t overlap, const EvalProgress& progress,
       const PredictionVisitor& visit)
      : models_(models),
        bos_(bos),
        ids_in_window_(static_cast<size_t>(positions - 1)),
        overlap_(static_cast<size_t>(overlap)),
        progress_(progress),
        visit_(visit) {}

  Status over(const EvalText& text) {
    total_ = text.tokens();
    for (const EvalDocument& document : text.documents) {
      for (size_t begin = 0; begin < document.ids.size();) {
        const size_t seen = begin == 0 ? 0 : overlap_;
        const size_t count = std::min(ids_in_window_ - seen, document.ids.size() - begin);
        CARAT_TRY_STATUS(predict(document, begin, seen, count));
        begin += count;
      }
    }
    return success();
  }

 private:
  /// Predicts `count` ids from `begin` on, in a window that begins with the `seen` ids before them.
  Status predict(const EvalDocument& document, size_t begin, size_t seen, size_t count) {
    const std::span<const int32_t> ids = document.ids;
    // The last id is predicted, not fed.
    window_.assign(1, bos_);
    const std::span<const int32_t> fed = ids.subspan(begin - seen, seen + count - 1);
    window_.insert(window_.end(), fed.begin(), fed.end());
    CARAT_TRY_STATUS(models_.begin_window(std::span(window_).first(seen)));
    for (size_t done = 0; done < count;) {
      const size_t rows = std::min(models_.rows(), count - done);
      CARAT_TRY(const auto logits, models_.feed(std::span(window_).subspan(seen + done, rows)));
      CARAT_TRY_STATUS(visit_({done_, &document, ids.subspan(begin + done, rows), logits}));
      done += rows;
      done_ += static_cast<int64_t>(rows);
      if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "interrupted while reading the text"};
    }
    return success();
  }

  SideBySide& models_;
  int32_t bos_;
  size_t ids_in_window_;
  size_t overlap_;
  const EvalProgress& progress_;
  const PredictionVisitor& visit_;
  std::vector<int32_t> window_;
  int64_t done_ = 0;
  int64_t total_ = 0;
};

}  // namespace

Result<int64_t> window_positions(const WindowOptions& options, std::span<const int64_t> contexts) {
  int64_t positions = options.positions;
  for (const int64_t context : contexts) positions = std::min(positions, context);
  if (positions < 2) return wrong_usage("a window needs 2 positions or more, found " + std::to_string(positions));
  if (options.overlap < 0 || options.overlap > positions - 2) {
    return wrong_usage("an overlap of " + std::to_string(options.overlap) +
                       " leaves nothing to predict in windows of " + std::to_string(positions) +
                       " positions: take at most " + std::to_string(positions - 2));
  }
  return positions;
}

std::string windows_text(int64_t positions, int64_t overlap) {
  return "windows of " + std::to_string(positions) + " positions, each begins with BOS, " + std::to_string(overlap) +
         " overlap";
}

Status visit_predictions(std::span<Model* const> models, const EvalText& text, const WindowOptions& options,
                         const EvalProgress& progress, const PredictionVisitor& visit) {
  CARAT_TRY_STATUS(check_text(models, text));
  std::vector<int64_t> contexts;
  for (const Model* model : models) contexts.push_back(model->config().context);
  CARAT_TRY(const int64_t positions, window_positions(options, contexts));
  CARAT_TRY(const std::vector<CacheOptions> kept, kept_by(models, options.cache_type));
  SideBySide side_by_side(models, positions, kept);
  return Walk(side_by_side, models.front()->vocabulary().bos, positions, options.overlap, progress, visit).over(text);
}

}  // namespace carat
