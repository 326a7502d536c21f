#include <algorithm>
#include <cmath>
#include <memory>
#include <unordered_set>

#include "base/threads.h"
#include "formats/names.h"
#include "formats/verify.h"
#include "formats/verify_config.h"
#include "formats/verify_rows.h"
#include "formats/whole_tensor.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

/// A tensor of either checkpoint; nothing where one lacks it.
struct TensorPair {
  std::string name;
  std::optional<WholeTensor> a, b;

  bool comparable() const { return a && b && a->shape() == b->shape(); }
  const WholeTensor& either() const { return a ? *a : *b; }
  uint64_t weights() const { return static_cast<uint64_t>(either().rows() * either().columns()); }
};

std::vector<TensorPair> pairs_of(const Checkpoint& a, const Checkpoint& b) {
  std::vector<TensorPair> pairs;
  std::unordered_set<std::string> of_a;
  const std::vector<TensorSpec> specs_b = expected_tensors(b.config());
  for (const TensorSpec& spec : expected_tensors(a.config())) {
    of_a.insert(spec.name);
    const auto same = std::ranges::find(specs_b, spec.name, &TensorSpec::name);
    pairs.push_back(
        {spec.name, WholeTensor::find(a, spec), same == specs_b.end() ? std::nullopt : WholeTensor::find(b, *same)});
  }
  for (const TensorSpec& spec : specs_b) {
    if (!of_a.contains(spec.name)) pairs.push_back({spec.name, std::nullopt, WholeTensor::find(b, spec)});
  }
  return pairs;
}

/// Row after row, so that sums do not depend on threads.
class TensorTally {
 public:
  explicit TensorTally(TensorComparison& tensor) : tensor_(tensor) {}

  void add(const RowComparison& row) {
    tensor_.different += row.different;
    tensor_.equal_rounded += row.equal_rounded;
    tensor_.not_finite += row.not_finite;
    tensor_.different_blocks += row.different_blocks;
    tensor_.largest_difference = std::max(tensor_.largest_difference, row.largest_difference);
    squared_error_ += row.squared_error;
    squares_ += row.squares;
  }

  void finish() {
    tensor_.equal = tensor_.weights - tensor_.equal_rounded - tensor_.different;
    if (squared_error_ > 0) tensor_.relative_rms = std::sqrt(squared_error_ / squares_);
  }

 private:
  TensorComparison& tensor_;
  double squared_error_ = 0;
  double squares_ = 0;
};

class Comparer {
 public:
  Comparer(uint64_t total, int threads, const VerifyProgress& progress)
      : threads_(threads), total_(total), progress_(progress) {}

  Result<TensorComparison> compare(const TensorPair& pair) {
    TensorComparison tensor = described(pair);
    if (!tensor.problem.empty()) {
      tensor.different = tensor.weights;
      tensor.different_blocks = tensor.blocks;
      CARAT_TRY_STATUS(count(tensor.weights));
      return tensor;
    }
    TensorTally tally(tensor);
    const int64_t at_once = verified_rows_at_once(pair.a->columns());
    for (int64_t first = 0; first < pair.a->rows(); first += at_once) {
      CARAT_TRY_STATUS(compare_piece(pair, first, std::min(at_once, pair.a->rows() - first), tally, tensor));
    }
    tally.finish();
    return tensor;
  }

 private:
  static TensorComparison described(const TensorPair& pair) {
    TensorComparison tensor;
    tensor.name = pair.name;
    tensor.weights = pair.weights();
    const WholeTensor& either = pair.either();
    tensor.blocks = static_cast<uint64_t>(either.rows() * ((either.columns() + kVerifiedBlock - 1) / kVerifiedBlock));
    if (pair.a) tensor.type_a = pair.a->type_text();
    if (pair.b) tensor.type_b = pair.b->type_text();
    tensor.exact_scales_beside = (pair.a && pair.a->has_exact_scales()) || (pair.b && pair.b->has_exact_scales());
    if (!pair.a) tensor.problem = "missing in the first";
    if (!pair.b) tensor.problem = "missing in the second";
    if (pair.a && pair.b && !pair.comparable()) {
      tensor.problem = shape_text(pair.a->shape()) + " in the first, " + shape_text(pair.b->shape()) + " in the second";
    }
    return tensor;
  }

  Status compare_piece(const TensorPair& pair, int64_t first, int64_t rows, TensorTally& tally,
                       TensorComparison& tensor) {
    CARAT_TRY_STATUS(compare_rows(pair, first, rows));
    RowComparer again(*pair.a, *pair.b);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t row = first + i;
      const DType type_a = pair.a->type_of_row(row);
      const DType type_b = pair.b->type_of_row(row);
      if (const auto narrow = rounding_of(type_a, type_b)) tensor.rounded_to = narrow;
      if (is_narrow(type_a) && is_narrow(type_b) && type_a != type_b) tensor.two_narrow_types = true;
      const RowComparison& found = rows_[static_cast<size_t>(i)];
      tally.add(found);
      if (found.different == 0 || tensor.first.size() == kMostFirst) continue;
      CARAT_TRY_STATUS(again.compare(row));
      again.append_differences(row, tensor.first);
    }
    pair.a->release(first, rows);
    pair.b->release(first, rows);
    return count(static_cast<uint64_t>(rows * pair.a->columns()));
  }

  /// Fills `rows_`.
  Status compare_rows(const TensorPair& pair, int64_t first, int64_t rows) {
    rows_.assign(static_cast<size_t>(rows), {});
    return for_rows(threads_, rows, [&] {
      return [this, first, comparer = std::make_unique<RowComparer>(*pair.a, *pair.b)](int64_t row) -> Status {
        CARAT_TRY(rows_[static_cast<size_t>(row)], comparer->compare(first + row));
        return success();
      };
    });
  }

  Status count(uint64_t weights) {
    done_ += weights;
    if (progress_(done_, total_)) return success();
    return Error{ErrorKind::kInterrupted, "the comparison was interrupted"};
  }

  ThreadPool threads_;
  uint64_t total_;
  uint64_t done_ = 0;
  const VerifyProgress& progress_;
  std::vector<RowComparison> rows_;  // of one piece
};

std::optional<float> number(const Checkpoint& checkpoint, const std::string& name) {
  const TensorView* found = checkpoint.find(name);
  if (found == nullptr) return std::nullopt;
  return decode_tensor(*found).front();
}

void compare_static_scales(const Checkpoint& a, const Checkpoint& b, CheckpointComparison& comparison) {
  const auto add = [&](const std::string& name) {
    ++comparison.static_scales;
    const ScaleDifference scale = {name, number(a, name), number(b, name)};
    if (scale.a != scale.b) comparison.scales.push_back(scale);
  };
  for (const NamedTensor& tensor : a.tensors()) {
    if (is_static_scale(tensor.name)) add(tensor.name);
  }
  for (const NamedTensor& tensor : b.tensors()) {
    if (is_static_scale(tensor.name) && a.find(tensor.name) == nullptr) add(tensor.name);
  }
}

}  // namespace

bool CheckpointComparison::same() const {
  const bool weights =
      std::ranges::all_of(tensors, [](const TensorComparison& tensor) { return tensor.different == 0; });
  return weights && scales.empty() && contradictions.empty();
}

Result<CheckpointComparison> compare_checkpoints(const Checkpoint& a, const Checkpoint& b, int threads,
                                                 const VerifyProgress& progress) {
  CheckpointComparison comparison;
  comparison.contradictions = config_contradictions(a.config(), b.config());
  for (std::string& text : vocabulary_contradictions(a.vocabulary(), b.vocabulary())) {
    comparison.contradictions.push_back(std::move(text));
  }
  const std::vector<TensorPair> pairs = pairs_of(a, b);
  uint64_t total = 0;
  for (const TensorPair& pair : pairs) total += pair.weights();
  Comparer comparer(total, threads, progress);
  for (const TensorPair& pair : pairs) {
    CARAT_TRY(TensorComparison tensor, comparer.compare(pair));
    comparison.tensors.push_back(std::move(tensor));
  }
  compare_static_scales(a, b, comparison);
  return comparison;
}

}  // namespace carat
