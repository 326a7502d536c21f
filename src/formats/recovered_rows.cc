#include "formats/recovered_rows.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "lattice/lattice.h"
#include "tensor/block.h"

namespace carat {
namespace {

// Little work is not worth another thread.
constexpr int64_t kValuesAtOnce = 1 << 14;

bool is_float(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32; }

std::optional<TensorLattice> block_lattice(DType lattice, int bits) {
  return TensorLattice{lattice, block_elements(lattice), {.bits = bits, .negative_scales = true}};
}

std::optional<TensorLattice> shape_of(const SchemeRule& rule, int64_t columns, DType scale_type) {
  if (rule.lattice == DType::kQ4_0) return block_lattice(rule.lattice, 4);
  if (rule.lattice == DType::kQ8_0) return block_lattice(rule.lattice, 8);
  if (!is_code_type(rule.lattice)) return std::nullopt;
  const int64_t group = rule.group == 0 ? columns : rule.group;
  // Readers take a row's scale for positive, and so do blocks of GGUF that are made of codes.
  const bool negative_scales = group != columns && scale_type != DType::kF16;
  return TensorLattice{rule.lattice, group, {.bits = code_bits(rule.lattice), .negative_scales = negative_scales}};
}

/// Place `i` of `count` that are spread over `total`: one in each of as many equal stretches, at a place of the stretch
/// that moves on by the golden ratio, so that it does not always fall on the same column.
int64_t spread(int64_t i, int64_t count, int64_t total) {
  constexpr double kGoldenRatio = 0.6180339887498949;
  const double turns = static_cast<double>(i) * kGoldenRatio;
  const double place = (static_cast<double>(i) + turns - std::floor(turns)) / static_cast<double>(count);
  return std::min(total - 1, static_cast<int64_t>(place * static_cast<double>(total)));
}

}  // namespace

std::optional<TensorLattice> tensor_lattice(const SchemeRule& rule, int64_t columns, DType value_type,
                                            DType scale_type) {
  CARAT_CHECK(is_float(scale_type), "scales of a float type");
  if (!is_float(value_type)) return std::nullopt;
  std::optional<TensorLattice> lattice = shape_of(rule, columns, scale_type);
  if (!lattice || lattice->group <= 0 || columns % lattice->group != 0) return std::nullopt;
  lattice->rule.value_type = value_type;
  lattice->rule.scale_type = scale_type;
  return lattice;
}

void recover_rows(const TensorLattice& lattice, std::span<const float> values, ThreadPool& threads,
                  RecoveredRows& out) {
  const auto length = static_cast<size_t>(lattice.group);
  CARAT_CHECK(lattice.group > 0 && values.size() % length == 0, "a whole number of groups");
  out.groups.resize(values.size() / length);
  out.codes.resize(values.size());
  const std::span<int8_t> codes(out.codes);
  const int64_t grain = std::max<int64_t>(1, kValuesAtOnce / lattice.group);
  threads.parallel_for(static_cast<int64_t>(out.groups.size()), grain, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      out.groups[i] =
          recover_group(lattice.rule, values.subspan(i * length, length), codes.subspan(i * length, length));
    }
  });
}

void RecoveryCount::add(const RecoveredGroup& group) {
  const bool on_lattice = group.outcome != Recovery::kOffLattice;
  ++groups;
  exact += group.outcome == Recovery::kExact;
  scale_unfit += group.outcome == Recovery::kScaleUnfit;
  off_lattice += !on_lattice;
  telling += group.telling;
  telling_exact += group.telling && on_lattice;
}

void RecoveryCount::add(const RecoveryCount& other) {
  groups += other.groups;
  exact += other.exact;
  scale_unfit += other.scale_unfit;
  off_lattice += other.off_lattice;
  telling += other.telling;
  telling_exact += other.telling_exact;
}

bool was_quantized(const RecoveryCount& count) {
  return count.telling_exact > 0 && count.telling_exact >= (count.telling + 99) / 100;
}

RecoveryCount sample_recovery(const TensorView& view, const TensorLattice& lattice, int64_t most) {
  CARAT_CHECK(is_float(view.dtype) && lattice.group > 0 && view.columns() % lattice.group == 0,
              "a tensor of floats in whole groups");
  const auto bytes_of_group = static_cast<size_t>(*row_bytes(view.dtype, static_cast<uint64_t>(lattice.group)));
  const int64_t groups = view.rows() * (view.columns() / lattice.group), looks = std::min(most, groups);
  std::vector<float> values(static_cast<size_t>(lattice.group));
  std::vector<int8_t> codes(values.size());
  RecoveryCount count;
  for (int64_t i = 0; i < looks; ++i) {
    const auto offset = static_cast<size_t>(spread(i, looks, groups)) * bytes_of_group;
    decode(view.dtype, view.data.subspan(offset, bytes_of_group), values);
    count.add(recover_group(lattice.rule, values, codes));
  }
  return count;
}

}  // namespace carat
