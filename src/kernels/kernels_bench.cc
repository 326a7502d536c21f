// Speed of each kernel on one core: bytes of weights a second for dot products, values a second for the others.

#include <benchmark/benchmark.h>

#include <vector>

#include "base/random.h"
#include "kernels/select.h"

namespace carat {
namespace {

std::vector<float> normals(int64_t n) {
  Random random(1);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = random.normal();
  return values;
}

/// A matrix larger than the first-level caches, times n_x rows of activations.
void rows_dot(benchmark::State& state, const Kernels* table, DType dtype) {
  constexpr int64_t kRows = 1024, kColumns = 1536;
  const int64_t n_x = state.range(0);
  const std::vector<float> x = normals(n_x * kColumns);
  const uint64_t bytes_of_row = *row_bytes(dtype, kColumns);
  // As a float of any type this is small and normal: an infinite or subnormal scale could change the time.
  constexpr std::byte kAnywhere{0x2c};
  const std::vector<std::byte> stored(bytes_of_row * kRows, kAnywhere);
  std::vector<float> out(static_cast<size_t>(n_x * kRows));
  const RowsDot kernel = table->rows_dot[static_cast<size_t>(dtype)];
  for (auto step : state) {
    for (size_t row = 0; row < kRows; ++row) {
      kernel(stored.data() + row * bytes_of_row, x.data(), kColumns, n_x, kColumns, out.data() + row, kRows);
    }
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(stored.size()));
  state.counters["multiply-adds"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_x * kRows * kColumns), benchmark::Counter::kIsRate);
}

/// The same in integers.
void codes_dot(benchmark::State& state, const Kernels* table, DType dtype) {
  constexpr int64_t kRows = 1024, kColumns = 1536;
  const int64_t n_x = state.range(0), stride = code_row_bytes(kColumns);
  std::vector<int8_t> x(static_cast<size_t>(n_x * stride), int8_t{3});
  for (int64_t i = 0; i < n_x; ++i) table->lay_out_codes[code_type_index(dtype)](x.data() + i * stride, kColumns);
  const std::vector<std::byte> stored(*row_bytes(dtype, kColumns * kRows), std::byte{0x2c});
  const std::vector<float> factors(kRows, 0.1f);
  std::vector<float> out(static_cast<size_t>(n_x * kRows));
  const CodesDot kernel = table->codes_dot[code_type_index(dtype)];
  for (auto step : state) {
    kernel(stored.data(), kRows, x.data(), stride, n_x, kColumns, factors.data(), out.data(), kRows);
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(stored.size()));
  state.counters["multiply-adds"] =
      benchmark::Counter(static_cast<double>(state.iterations() * n_x * kRows * kColumns), benchmark::Counter::kIsRate);
}

constexpr int64_t kValues = 4096;

void lay_out_codes(benchmark::State& state, const Kernels* table, DType dtype) {
  std::vector<int8_t> x(static_cast<size_t>(code_row_bytes(kValues)), int8_t{3});
  for (auto step : state) {
    table->lay_out_codes[code_type_index(dtype)](x.data(), kValues);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void static_codes(benchmark::State& state, const Kernels* table) {
  const std::vector<float> x = normals(kValues);
  std::vector<int8_t> out(kValues);
  for (auto step : state) benchmark::DoNotOptimize(table->static_codes(x.data(), kValues, 0.02f, out.data()));
  state.SetItemsProcessed(state.iterations() * kValues);
}

void snap_static(benchmark::State& state, const Kernels* table) {
  std::vector<float> x = normals(kValues);
  for (auto step : state) {
    table->snap_static(x.data(), kValues, 0.02f);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void decode_row(benchmark::State& state, const Kernels* table, DType dtype) {
  const std::vector<std::byte> stored(*row_bytes(dtype, kValues), std::byte{0x2c});
  std::vector<float> out(kValues);
  for (auto step : state) {
    table->decode_row[static_cast<size_t>(dtype)](stored.data(), kValues, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void add_weighted_rows(benchmark::State& state, const Kernels* table) {
  constexpr int64_t kWidth = 256, kKeys = kValues / kWidth;
  const std::vector<float> rows = normals(kValues), weights = normals(kKeys);
  std::vector<float> out(kWidth);
  for (auto step : state) {
    table->add_weighted_rows(weights.data(), rows.data(), kWidth, kKeys, kWidth, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void exp_sum(benchmark::State& state, const Kernels* table) {
  const std::vector<float> scores = normals(kValues);
  std::vector<float> x = scores;
  for (auto step : state) {
    x = scores;
    benchmark::DoNotOptimize(table->exp_sum(x.data(), kValues, 5.0f));
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void sum_of_squares(benchmark::State& state, const Kernels* table) {
  const std::vector<float> x = normals(kValues);
  for (auto step : state) benchmark::DoNotOptimize(table->sum_of_squares(x.data(), kValues));
  state.SetItemsProcessed(state.iterations() * kValues);
}

void gelu_multiply(benchmark::State& state, const Kernels* table) {
  const std::vector<float> gate = normals(kValues), up = normals(kValues);
  std::vector<float> out(kValues);
  for (auto step : state) {
    table->gelu_multiply(gate.data(), up.data(), kValues, out.data());
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void softcap(benchmark::State& state, const Kernels* table) {
  std::vector<float> x = normals(kValues);
  for (auto step : state) {
    table->softcap(x.data(), kValues, 30.0f);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void register_table(const Kernels* table) {
  const std::string name = table->name;
  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const std::string type(dtype_name(dtype));
    benchmark::RegisterBenchmark((name + "/rows_dot/" + type).c_str(), rows_dot, table, dtype)->Arg(1)->Arg(8)->Arg(32);
    benchmark::RegisterBenchmark((name + "/decode_row/" + type).c_str(), decode_row, table, dtype);
    if (!is_code_type(dtype)) continue;
    benchmark::RegisterBenchmark((name + "/codes_dot/" + type).c_str(), codes_dot, table, dtype)
        ->Arg(1)
        ->Arg(8)
        ->Arg(32);
    benchmark::RegisterBenchmark((name + "/lay_out_codes/" + type).c_str(), lay_out_codes, table, dtype);
  }
  benchmark::RegisterBenchmark((name + "/static_codes").c_str(), static_codes, table);
  benchmark::RegisterBenchmark((name + "/snap_static").c_str(), snap_static, table);
  benchmark::RegisterBenchmark((name + "/add_weighted_rows").c_str(), add_weighted_rows, table);
  benchmark::RegisterBenchmark((name + "/exp_sum").c_str(), exp_sum, table);
  benchmark::RegisterBenchmark((name + "/sum_of_squares").c_str(), sum_of_squares, table);
  benchmark::RegisterBenchmark((name + "/gelu_multiply").c_str(), gelu_multiply, table);
  benchmark::RegisterBenchmark((name + "/softcap").c_str(), softcap, table);
}

}  // namespace
}  // namespace carat

int main(int argc, char** argv) {
  for (const carat::Kernels* table : carat::all_kernels()) carat::register_table(table);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
