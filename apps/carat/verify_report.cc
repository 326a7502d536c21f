#include "verify_report.h"

#include <algorithm>
#include <cmath>

#include "figures.h"

namespace carat {
namespace {

std::string many(uint64_t count, const std::string& what) {
  return count_text(static_cast<int64_t>(count)) + " " + what + (count == 1 ? "" : "s");
}

/// "100", "99.9": rounded down, so that it is 100 for all alone.
std::string percent(double share) {
  if (share >= 1) return "100";
  return rate_text(std::floor(share * 1000) / 10);
}

std::string comparison_verdict(const CheckpointComparison& comparison) {
  uint64_t weights = 0, rounded = 0, different = 0, tensors = 0;
  for (const TensorComparison& tensor : comparison.tensors) {
    weights += tensor.weights;
    rounded += tensor.equal_rounded;
    different += tensor.different;
    tensors += tensor.different != 0 ? 1 : 0;
  }
  const std::string all = many(weights, "weight") + " in " + many(comparison.tensors.size(), "tensor");
  if (different != 0) {
    return "not the same weights: " + many(different, "weight") + " in " + many(tensors, "tensor") +
           (different == 1 ? " differs" : " differ") + ", of " + all;
  }
  std::string text = "the same weights: " + all + ", none differs";
  if (rounded != 0) text += "; " + count_text(static_cast<int64_t>(rounded)) + " of them after rounding";
  if (comparison.same()) return text;
  text = "not the same model: its weights are, " + all;
  if (!comparison.scales.empty()) text += "; " + many(comparison.scales.size(), "static scale") + " differ";
  if (!comparison.contradictions.empty()) text += "; " + comparison.contradictions.front();
  return text;
}

std::string lattice_verdict(const LatticeReport& report) {
  uint64_t weights = 0, groups = 0, off = 0, unfit = 0, tensors = 0;
  for (const TensorOnLattice& tensor : report.tensors) {
    weights += tensor.weights;
    groups += tensor.count.groups;
    off += tensor.count.off_lattice;
    unfit += tensor.count.scale_unfit;
    tensors += tensor.on_lattice() ? 0 : 1;
  }
  const std::string lattice = report.scheme.empty() ? "of its own types" : "of " + report.scheme;
  if (report.on_lattice()) {
    std::string text = "on the lattice " + lattice + ": " + many(weights, "weight") + " in " +
                       many(report.tensors.size(), "tensor") + ", all of them";
    if (report.other_weights != 0) text += "; " + many(report.other_weights, "other weight") + ", all finite";
    return text;
  }
  std::string text = "not on the lattice " + lattice + ": " + many(off + unfit, "group") + " of " +
                     count_text(static_cast<int64_t>(groups)) + " in " + many(tensors, "tensor");
  if (unfit != 0) text += "; " + many(unfit, "group") + " of them only for a scale that it cannot hold";
  return text;
}

std::string samples_verdict(const VerifyReport& report) {
  const LatticeSample* best = nullptr;
  for (const LatticeSample& sample : report.samples) {
    if (was_quantized(sample.count) && (best == nullptr || sample.share() > best->share())) best = &sample;
  }
  const std::string text = "nothing is proven: " + report.models.front().path + " declares no lattice, ";
  if (best == nullptr) return text + "and its weights look like ordinary floats; --scheme names one to check";
  return text + "but " + percent(best->share()) + " % of the groups that were looked at lie on " + best->lattice +
         "; name it with --scheme " + best->scheme + " for the proof";
}

std::string damage_verdict(const VerifyReport& report) {
  std::string text;
  for (const VerifiedModel& model : report.models) {
    for (const IntegrityFault& fault : model.integrity.faults) {
      text += (text.empty() ? "" : "; ") + fault.file + " " + fault.text;
    }
  }
  if (report.comparison) text += "; " + comparison_verdict(*report.comparison);
  if (report.lattice) text += "; " + lattice_verdict(*report.lattice);
  return "damaged: " + text;
}

}  // namespace

VerifyResult result_of(const VerifyReport& report) {
  const bool damaged =
      std::ranges::any_of(report.models, [](const VerifiedModel& model) { return !model.integrity.faults.empty(); });
  if (damaged) return VerifyResult::kDamaged;
  if (report.comparison) return report.comparison->same() ? VerifyResult::kSame : VerifyResult::kDifferent;
  if (report.lattice) return report.lattice->on_lattice() ? VerifyResult::kOnLattice : VerifyResult::kOffLattice;
  return VerifyResult::kUndeclared;
}

bool is_proven(VerifyResult result) { return result == VerifyResult::kSame || result == VerifyResult::kOnLattice; }

std::string verdict_of(const VerifyReport& report) {
  if (result_of(report) == VerifyResult::kDamaged) return damage_verdict(report);
  if (report.comparison) return comparison_verdict(*report.comparison);
  return report.lattice ? lattice_verdict(*report.lattice) : samples_verdict(report);
}

}  // namespace carat
