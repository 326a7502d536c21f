#include <algorithm>

#include "base/mapped_pages.h"
#include "formats/names.h"
#include "formats/verify.h"

namespace carat {
namespace {

struct Candidate {
  const char* text;
  const char* scheme;
  DType lattice;
};

// Narrow ones first, and rows before blocks: rows of codes lie on blocks too.
constexpr Candidate kCandidates[] = {{"I2 row", "mobile", DType::kI2},
                                     {"I4 row", "mobile", DType::kI4},
                                     {"Q4_0", "q4_0", DType::kQ4_0},
                                     {"I8 row", "mobile", DType::kI8},
                                     {"Q8_0", "q8_0", DType::kQ8_0}};

bool is_float(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16; }

RecoveryCount sample_tensor(const Checkpoint& checkpoint, const NamedTensor& tensor, DType lattice) {
  const bool table = tensor.name == kPerLayerTableName && is_code_type(lattice);
  const SchemeRule rule = {tensor.name, lattice, table ? checkpoint.config().per_layer_width : 0};
  const DType scale_type = is_code_type(lattice) ? DType::kF32 : DType::kF16;
  const auto asked = tensor_lattice(rule, tensor.view.columns(), tensor.view.dtype, scale_type);
  if (!asked) return {};
  const RecoveryCount count = sample_recovery(tensor.view, *asked);
  release_mapped_pages(tensor.view.data);
  return count;
}

}  // namespace

double LatticeSample::share() const {
  if (count.telling == 0) return 0;
  return static_cast<double>(count.telling_exact) / static_cast<double>(count.telling);
}

std::vector<LatticeSample> sample_lattices(const Checkpoint& checkpoint) {
  const Scheme& matrices = *built_in_scheme("q4_0");
  std::vector<LatticeSample> samples;
  for (const Candidate& candidate : kCandidates) {
    LatticeSample sample = {candidate.text, candidate.scheme, {}};
    for (const NamedTensor& tensor : checkpoint.tensors()) {
      const bool matrix = tensor.view.shape.size() > 1 && matrices.lattice_of(tensor.name) == DType::kQ4_0;
      if (matrix && is_float(tensor.view.dtype)) sample.count.add(sample_tensor(checkpoint, tensor, candidate.lattice));
    }
    samples.push_back(std::move(sample));
  }
  return samples;
}

}  // namespace carat
