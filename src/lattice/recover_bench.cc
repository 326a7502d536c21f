// Speed of the recovery on one core, in weights a second: groups that lie on a lattice, and ordinary floats.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "lattice/recover.h"
#include "tensor/float_formats.h"

namespace carat {
namespace {

constexpr size_t kWeights = 1 << 20;

float bf16(float value) { return float_from_bf16(bf16_from_float(value)); }

std::vector<float> ordinary_floats() {
  Random random(1);
  std::vector<float> values(kWeights);
  for (float& value : values) value = bf16(0.02f * random.normal());
  return values;
}

/// Puts each group on a lattice whose scale is the largest magnitude over the highest code and a half, in BF16.
void put_on_lattice(int bits, size_t length, std::vector<float>& values) {
  const auto highest = static_cast<float>((1 << (bits - 1)) - 1);
  for (size_t first = 0; first < values.size(); first += length) {
    float most = 0;
    for (size_t i = first; i < first + length; ++i) most = std::max(most, std::fabs(values[i]));
    const float scale = bf16(most / (highest + 0.5f));
    for (size_t i = first; i < first + length; ++i) {
      values[i] = bf16(scale * std::clamp(std::nearbyint(values[i] / scale), -highest - 1, highest));
    }
  }
}

void recover(benchmark::State& state, bool on_lattice) {
  const auto bits = static_cast<int>(state.range(0));
  const auto length = static_cast<size_t>(state.range(1));
  const RecoverRule rule{.bits = bits, .negative_scales = true, .scale_type = DType::kF16};
  std::vector<float> values = ordinary_floats();
  values.resize(kWeights / length * length);
  if (on_lattice) put_on_lattice(bits, length, values);
  std::vector<int8_t> codes(length);
  int64_t exact = 0, groups = 0;
  for (auto step : state) {
    for (size_t first = 0; first < values.size(); first += length) {
      const RecoveredGroup group = recover_group(rule, {values.data() + first, length}, codes);
      exact += group.outcome == Recovery::kExact;
      ++groups;
    }
    benchmark::ClobberMemory();
  }
  state.counters["weights"] =
      benchmark::Counter(static_cast<double>(groups) * static_cast<double>(length), benchmark::Counter::kIsRate);
  state.counters["exact %"] = 100.0 * static_cast<double>(exact) / static_cast<double>(groups);
}

void widths_and_lengths(benchmark::internal::Benchmark* bench) {
  for (int bits : {4, 8}) bench->Args({bits, 32});
  for (int bits : {2, 4, 8}) {
    for (int length : {1536, 16384}) bench->Args({bits, length});
  }
}

BENCHMARK_CAPTURE(recover, on_lattice, true)->Apply(widths_and_lengths);
BENCHMARK_CAPTURE(recover, ordinary_floats, false)->Apply(widths_and_lengths);

}  // namespace
}  // namespace carat

BENCHMARK_MAIN();
