#include <algorithm>
#include <cmath>

#include "base/threads.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "formats/verify.h"
#include "formats/verify_rows.h"
#include "formats/whole_tensor.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

/// The lattice that a scheme asks for in one tensor.
struct AskedLattice {
  DType type = DType::kF32;  ///< F32 asks for nothing
  int64_t group = 1;         ///< columns that share a scale
};

bool is_block_type(DType dtype) { return !is_code_type(dtype) && block_elements(dtype) > 1; }

std::string text_of(const AskedLattice& asked, int64_t columns) {
  std::string text(dtype_name(asked.type));
  if (!is_code_type(asked.type)) return text;
  return text + (asked.group == columns ? " row" : " group " + std::to_string(asked.group));
}

AskedLattice lattice_asked(const Scheme& scheme, const WholeTensor& tensor) {
  const SchemeRule* rule = scheme.rule_for(tensor.name());
  if (rule == nullptr) return {};
  const bool floats = !is_code_type(rule->lattice) && !is_block_type(rule->lattice);
  if (floats) return {rule->lattice, 1};
  if (tensor.shape().size() < 2) return {};
  if (!is_code_type(rule->lattice)) return {rule->lattice, block_elements(rule->lattice)};
  return {rule->lattice, rule->group == 0 ? tensor.columns() : rule->group};
}

bool is_stored_so(const AskedLattice& asked, const WholeTensor& tensor) {
  if (is_code_type(asked.type)) return tensor.holds_codes(code_bits(asked.type), asked.group);
  const std::vector<const TensorView*> views = tensor.views();
  return !views.empty() && !tensor.has_exact_scales() &&
         std::ranges::all_of(views, [&](const TensorView* view) { return view->dtype == asked.type; });
}

/// What the stored values were rounded to: F32 for all that is stored in another way than in narrow floats.
DType value_type_of(const WholeTensor& tensor) {
  const std::vector<const TensorView*> views = tensor.views();
  if (views.empty()) return DType::kF32;
  const DType type = views.front()->dtype;
  const bool all = std::ranges::all_of(views, [&](const TensorView* view) { return view->dtype == type; });
  return all && is_narrow(type) ? type : DType::kF32;
}

class LatticeCheck {
 public:
  LatticeCheck(const Checkpoint& checkpoint, uint64_t total, int threads, const VerifyProgress& progress)
      : checkpoint_(checkpoint), threads_(threads), total_(total), progress_(progress) {}

  /// Reads what is stored as it should be, or may be anything, for values that are not finite.
  Status check_finite(const WholeTensor& tensor) {
    const int64_t at_once = verified_rows_at_once(tensor.columns());
    for (int64_t first = 0; first < tensor.rows(); first += at_once) {
      const int64_t rows = std::min(at_once, tensor.rows() - first);
      CARAT_TRY_STATUS(decode(tensor, first, rows));
      CARAT_TRY_STATUS(done_with(tensor, first, rows));
    }
    return success();
  }

  Status look_for(const AskedLattice& asked, const WholeTensor& tensor, TensorOnLattice& found) {
    CARAT_TRY(const std::optional<TensorLattice> lattice, lattice_of_groups(asked, tensor));
    const int64_t at_once = verified_rows_at_once(tensor.columns());
    for (int64_t first = 0; first < tensor.rows(); first += at_once) {
      const int64_t rows = std::min(at_once, tensor.rows() - first);
      CARAT_TRY_STATUS(decode(tensor, first, rows));
      if (lattice) {
        recover_rows(*lattice, values_, threads_, recovered_);
      } else {
        compare_with_rounded(asked.type, tensor.columns());
      }
      take_groups(tensor, first, rows, lattice ? lattice->group : kVerifiedBlock, found);
      CARAT_TRY_STATUS(done_with(tensor, first, rows));
    }
    return success();
  }

 private:
  std::string place(const WholeTensor& tensor) const {
    return checkpoint_.path().string() + ": " + name_in(checkpoint_.container(), tensor.name());
  }

  /// Nothing for single floats.
  Result<std::optional<TensorLattice>> lattice_of_groups(const AskedLattice& asked, const WholeTensor& tensor) const {
    if (asked.group == 1 && !is_code_type(asked.type)) return std::optional<TensorLattice>();
    const DType scale_type = is_code_type(asked.type) ? DType::kF32 : DType::kF16;
    const SchemeRule rule = {tensor.name(), asked.type, is_code_type(asked.type) ? asked.group : 0};
    const auto lattice = tensor_lattice(rule, tensor.columns(), value_type_of(tensor), scale_type);
    if (lattice) return lattice;
    return refused(place(tensor) + ": " + shape_text(tensor.shape()) + " has no rows of whole groups of " +
                   std::to_string(asked.group) + " values, as the scheme asks for with " +
                   text_of(asked, tensor.columns()) + "; name another scheme");
  }

  /// Fills `values_` with rows, all of them finite.
  Status decode(const WholeTensor& tensor, int64_t first, int64_t rows) {
    const auto columns = static_cast<size_t>(tensor.columns());
    values_.resize(static_cast<size_t>(rows) * columns);
    return for_rows(threads_, rows, [&] {
      return [&, columns](int64_t row) -> Status {
        const std::span<float> values = std::span(values_).subspan(static_cast<size_t>(row) * columns, columns);
        CARAT_TRY_STATUS(tensor.decode(first + row, values));
        const auto bad = std::ranges::find_if_not(values, [](float value) { return std::isfinite(value); });
        if (bad == values.end()) return success();
        return refused(place(tensor) + ": the value in row " + std::to_string(first + row) + ", column " +
                       std::to_string(bad - values.begin()) + " is " + number_text(*bad) +
                       ", expected a finite number; the file is damaged, copy or convert it again");
      };
    });
  }

  /// Takes a block for on the lattice when the narrow type holds every value of it.
  void compare_with_rounded(DType narrow, int64_t columns) {
    rounded_.resize(values_.size());
    snap(narrow, values_, rounded_);
    recovered_.groups.clear();
    const auto width = static_cast<size_t>(columns);
    constexpr auto kBlock = static_cast<size_t>(kVerifiedBlock);
    for (size_t row = 0; row < values_.size(); row += width) {
      for (size_t begin = row; begin < row + width; begin += kBlock) {
        const size_t end = std::min(begin + kBlock, row + width);
        const bool same = std::equal(values_.data() + begin, values_.data() + end, rounded_.data() + begin);
        recovered_.groups.push_back({same ? Recovery::kExact : Recovery::kOffLattice});
      }
    }
  }

  void take_groups(const WholeTensor& tensor, int64_t first, int64_t rows, int64_t length, TensorOnLattice& found) {
    const auto of_row = recovered_.groups.size() / static_cast<size_t>(rows);
    for (size_t i = 0; i < recovered_.groups.size(); ++i) {
      const RecoveredGroup& group = recovered_.groups[i];
      found.count.add(group);
      if (group.outcome == Recovery::kExact || found.first.size() == kMostFirst) continue;
      const auto row = static_cast<int64_t>(i / of_row);
      const int64_t column = static_cast<int64_t>(i % of_row) * length;
      found.first.push_back({first + row, column, values_[static_cast<size_t>(row * tensor.columns() + column)],
                             group.outcome == Recovery::kScaleUnfit});
    }
  }

  Status done_with(const WholeTensor& tensor, int64_t first, int64_t rows) {
    tensor.release(first, rows);
    done_ += static_cast<uint64_t>(rows * tensor.columns());
    if (progress_(done_, total_)) return success();
    return Error{ErrorKind::kInterrupted, "the check was interrupted"};
  }

  const Checkpoint& checkpoint_;
  ThreadPool threads_;
  uint64_t total_;
  uint64_t done_ = 0;
  const VerifyProgress& progress_;
  // Of one piece; kept so that only the first one allocates.
  std::vector<float> values_;
  std::vector<float> rounded_;
  RecoveredRows recovered_;
};

std::vector<WholeTensor> whole_tensors(const Checkpoint& checkpoint) {
  std::vector<WholeTensor> tensors;
  for (const TensorSpec& spec : expected_tensors(checkpoint.config())) {
    if (auto whole = WholeTensor::find(checkpoint, spec)) tensors.push_back(std::move(*whole));
  }
  return tensors;
}

uint64_t weights_of(const WholeTensor& tensor) { return static_cast<uint64_t>(tensor.rows() * tensor.columns()); }

bool holds_blocks_or_codes(const WholeTensor& tensor) {
  return std::ranges::any_of(
      tensor.views(), [](const TensorView* view) { return is_code_type(view->dtype) || is_block_type(view->dtype); });
}

std::vector<std::string> missing_quantizers(const Checkpoint& checkpoint, const Scheme& scheme) {
  std::vector<std::string> missing;
  for (const TensorSpec& spec : static_scales(checkpoint.config(), scheme)) {
    if (checkpoint.find(spec.name) == nullptr) missing.push_back(spec.name);
  }
  return missing;
}

}  // namespace

bool LatticeReport::on_lattice() const { return std::ranges::all_of(tensors, &TensorOnLattice::on_lattice); }

Result<LatticeReport> check_lattice(const Checkpoint& checkpoint, const Scheme* scheme, int threads,
                                    const VerifyProgress& progress) {
  const std::vector<WholeTensor> tensors = whole_tensors(checkpoint);
  const auto is_named = [&](const WholeTensor& tensor) { return scheme->rule_for(tensor.name()) != nullptr; };
  if (scheme != nullptr && std::ranges::none_of(tensors, is_named)) {
    return refused(checkpoint.path().string() + ": no rule of the scheme " + in_quotes(scheme->name) +
                   " names a tensor of this model, so that there is nothing to prove; names are such as " +
                   in_quotes(tensors.front().name()));
  }
  uint64_t total = 0;
  for (const WholeTensor& tensor : tensors) total += weights_of(tensor);
  LatticeCheck check(checkpoint, total, threads, progress);
  LatticeReport report;
  if (scheme != nullptr) {
    report.scheme = scheme->name;
    report.missing_quantizers = missing_quantizers(checkpoint, *scheme);
  }
  for (const WholeTensor& tensor : tensors) {
    const AskedLattice asked = scheme != nullptr ? lattice_asked(*scheme, tensor) : AskedLattice{};
    const bool of_own_type = scheme == nullptr && holds_blocks_or_codes(tensor);
    if (asked.type == DType::kF32 && !of_own_type) {
      report.other_weights += weights_of(tensor);
      CARAT_TRY_STATUS(check.check_finite(tensor));
      continue;
    }
    TensorOnLattice found = {tensor.name(), tensor.type_text(), {}, weights_of(tensor)};
    found.lattice = of_own_type ? found.type : text_of(asked, tensor.columns());
    found.by_type = of_own_type || is_stored_so(asked, tensor);
    CARAT_TRY_STATUS(found.by_type ? check.check_finite(tensor) : check.look_for(asked, tensor, found));
    report.tensors.push_back(std::move(found));
  }
  return report;
}

bool stores_lattice(const Checkpoint& checkpoint) {
  return std::ranges::any_of(whole_tensors(checkpoint), holds_blocks_or_codes);
}

}  // namespace carat
