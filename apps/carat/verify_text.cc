#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

#include "figures.h"
#include "formats/quote.h"
#include "text_table.h"
#include "verify_report.h"

namespace carat {
namespace {

// More than a person reads; --json has all of them.
constexpr size_t kMostListed = 12;

using Row = std::vector<std::string>;

std::string text_of(uint64_t count) { return count_text(static_cast<int64_t>(count)); }

std::string value_text(float value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", static_cast<double>(value));
  return text.data();
}

std::string place_text(int64_t row, int64_t column) {
  return "  row " + std::to_string(row) + ", column " + std::to_string(column) + ": ";
}

/// Calls `line` for the first of `items` and says how many there are beyond them.
template <typename Item, typename Line>
std::string listed(const std::vector<Item>& items, const std::string& what, Line line) {
  std::string text;
  for (size_t i = 0; i < std::min(items.size(), kMostListed); ++i) text += line(items[i]);
  if (items.size() > kMostListed) {
    text += "and " + text_of(items.size() - kMostListed) + " more " + what + ", which --json lists\n";
  }
  return text;
}

std::string model_text(const VerifiedModel& model) {
  std::string text = model.path + ": ";
  if (!model.integrity.faults.empty()) {
    for (const IntegrityFault& fault : model.integrity.faults) text += fault.file + " " + fault.text + "; ";
    return text.substr(0, text.size() - 2) + "\n";
  }
  if (!model.integrity.recorded) return text + "records no digest of itself\n";
  return text + "as it was written, by the SHA-256 of " + bytes_text(model.integrity.bytes) + "\n";
}

std::string source_text(const SourceClaim& claim) {
  return claim.of + ": was made from " + (claim.same ? "this " : "another ") + printable(claim.file) +
         (claim.same ? ", as its SHA-256 says\n" : ", whose SHA-256 was " + claim.recorded + "\n");
}

/// Tensors that are stored alike and of which the same was found.
struct StoredAlike {
  uint64_t tensors = 0, weights = 0, equal = 0, equal_rounded = 0, different = 0;
};

std::string kind_of(const TensorComparison& tensor) {
  const std::string types = tensor.type_a == tensor.type_b ? tensor.type_a : tensor.type_a + ", " + tensor.type_b;
  if (tensor.type_a.empty()) return "only the second: " + tensor.type_b;
  if (tensor.type_b.empty()) return "only the first: " + tensor.type_a;
  if (!tensor.problem.empty()) return types + ", other shapes";
  if (tensor.two_narrow_types) return types + ", both rounded, in two ways";
  return tensor.rounded_to ? types + ", rounded to " + std::string(dtype_name(*tensor.rounded_to)) : types;
}

std::string comparison_table(const CheckpointComparison& comparison) {
  std::map<std::string, StoredAlike> kinds;
  for (const TensorComparison& tensor : comparison.tensors) {
    StoredAlike& kind = kinds[kind_of(tensor)];
    ++kind.tensors;
    kind.weights += tensor.weights;
    kind.equal += tensor.equal;
    kind.equal_rounded += tensor.equal_rounded;
    kind.different += tensor.different;
  }
  std::vector<Row> rows = {{"stored as", "tensors", "weights", "equal", "equal rounded", "different"}};
  for (const auto& [name, kind] : kinds) {
    rows.push_back({name, text_of(kind.tensors), text_of(kind.weights), text_of(kind.equal),
                    text_of(kind.equal_rounded), text_of(kind.different)});
  }
  return table_text(rows);
}

std::string difference_text(const TensorComparison& tensor) {
  if (!tensor.problem.empty()) return tensor.name + ": " + tensor.problem + "\n";
  std::string text = tensor.name + ": " + text_of(tensor.different) + " of " + text_of(tensor.weights) +
                     " weights differ, in " + text_of(tensor.different_blocks) + " of " + text_of(tensor.blocks) +
                     " blocks, by at most " + number_text(tensor.largest_difference) + "; relative RMS " +
                     number_text(tensor.relative_rms) + "\n";
  for (const WeightDifference& place : tensor.first) {
    text += place_text(place.row, place.column) + value_text(place.a) + " and " + value_text(place.b) + "\n";
  }
  return text;
}

std::string scale_text(const std::optional<float>& scale) { return scale ? value_text(*scale) : "none"; }

std::string comparison_text(const CheckpointComparison& comparison) {
  std::vector<TensorComparison> different, broken;
  for (const TensorComparison& tensor : comparison.tensors) {
    if (tensor.different != 0) different.push_back(tensor);
    if (tensor.not_finite != 0) broken.push_back(tensor);
  }
  std::string text = comparison_table(comparison);
  if (comparison.static_scales != 0) {
    text += "static scales: " + text_of(comparison.static_scales) + ", of which " + text_of(comparison.scales.size()) +
            " differ\n";
  }
  if (std::ranges::any_of(comparison.tensors, &TensorComparison::exact_scales_beside)) {
    text +=
        "with exact scales: those scales are compared, which a way back takes; to run such a file is to compute with "
        "the rounded scales in its blocks\n";
  }
  text += listed(different, "tensors", difference_text);
  text += listed(broken, "tensors", [](const TensorComparison& tensor) {
    return tensor.name + ": " + text_of(tensor.not_finite) + " weights are not finite\n";
  });
  text += listed(comparison.scales, "scales", [](const ScaleDifference& scale) {
    return scale.name + ": " + scale_text(scale.a) + " and " + scale_text(scale.b) + "\n";
  });
  return text + listed(comparison.contradictions, "contradictions",
                       [](const std::string& contradiction) { return contradiction + "\n"; });
}

std::string lattice_table(const LatticeReport& report) {
  struct Kind {
    uint64_t tensors = 0, weights = 0;
    RecoveryCount count;
    bool by_type = false;
  };
  std::map<std::string, Kind> kinds;
  for (const TensorOnLattice& tensor : report.tensors) {
    const bool same = tensor.type == tensor.lattice;
    Kind& kind = kinds[same ? tensor.type : tensor.type + ", on " + tensor.lattice];
    ++kind.tensors;
    kind.weights += tensor.weights;
    kind.count.add(tensor.count);
    kind.by_type = tensor.by_type;
  }
  std::vector<Row> rows = {{"stored as", "tensors", "weights", "groups", "exact", "scale unfit", "off the lattice"}};
  for (const auto& [name, kind] : kinds) {
    Row row = {name, text_of(kind.tensors), text_of(kind.weights)};
    if (kind.by_type) {
      row.emplace_back("by type");
    } else {
      for (const uint64_t count :
           {kind.count.groups, kind.count.exact, kind.count.scale_unfit, kind.count.off_lattice}) {
        row.push_back(text_of(count));
      }
    }
    rows.push_back(std::move(row));
  }
  return rows.size() == 1 ? "" : table_text(rows);
}

std::string off_lattice_text(const TensorOnLattice& tensor) {
  std::string text = tensor.name + ": " + text_of(tensor.count.groups - tensor.count.exact) + " of " +
                     text_of(tensor.count.groups) + " groups are not on " + tensor.lattice + "\n";
  for (const OffLattice& place : tensor.first) {
    text += place_text(place.row, place.column) + "the group of " + value_text(place.value) +
            (place.scale_unfit ? ", for its scale\n" : "\n");
  }
  return text;
}

std::string lattice_text(const LatticeReport& report) {
  std::vector<TensorOnLattice> off;
  std::ranges::copy_if(report.tensors, std::back_inserter(off),
                       [](const TensorOnLattice& tensor) { return !tensor.on_lattice(); });
  std::string text = lattice_table(report) + listed(off, "tensors", off_lattice_text);
  if (report.missing_quantizers.empty()) return text;
  return text +
         "static quantizers that the scheme asks for and the file lacks: " + text_of(report.missing_quantizers.size()) +
         "\n";
}

std::string samples_text(const std::vector<LatticeSample>& samples) {
  std::vector<Row> rows = {{"lattice", "groups that would tell", "on it"}};
  for (const LatticeSample& sample : samples) {
    rows.push_back({sample.lattice, text_of(sample.count.telling), text_of(sample.count.telling_exact)});
  }
  return table_text(rows);
}

}  // namespace

std::string verify_text(const VerifyReport& report) {
  std::string text;
  for (const VerifiedModel& model : report.models) text += model_text(model);
  // Of two models of which one was made from the other, a file of the same name at their beginning says nothing.
  const bool related = std::ranges::any_of(report.sources, &SourceClaim::same);
  for (const SourceClaim& claim : report.sources) {
    if (claim.same || !related) text += source_text(claim);
  }
  if (!report.refusal.empty()) text += report.refusal + "\n";
  text += "\n";
  if (report.comparison) text += comparison_text(*report.comparison) + "\n";
  if (report.lattice) text += lattice_text(*report.lattice) + "\n";
  if (!report.samples.empty()) text += samples_text(report.samples) + "\n";
  return text + verdict_of(report) + "\n";
}

}  // namespace carat
