#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/lattice.h"
#include "lattice/scheme.h"
#include "tensor/float_formats.h"
#include "tests/support/tiny_model.h"

/// Checkpoints as quantization-aware training publishes them: bfloat16 numbers that lie on a 4-bit lattice, which is
/// that of some other program's rule. Nothing here uses Carat's own rules.

namespace carat {

/// A rule that picks a scale for 32 values: (the largest magnitude, with the sign that it has where `is_signed`) /
/// `divisor`, rounded to `scale_type`. Codes are the nearest integers, half to even, from -8 to 7.
struct ScaleRule {
  std::string_view name;
  float divisor;
  bool is_signed;
  DType scale_type;
};

inline constexpr ScaleRule kScaleRules[] = {{"signed_8_f16", -8.0f, true, DType::kF16},
                                            {"signed_8_bf16", -8.0f, true, DType::kBF16},
                                            {"absmax_7_5_bf16", 7.5f, false, DType::kBF16},
                                            {"absmax_7", 7.0f, false, DType::kBF16},
                                            {"absmax_8", 8.0f, false, DType::kBF16}};

inline float rounded_scale(float scale, DType type) {
  return type == DType::kF16 ? float_from_f16(f16_from_float(scale)) : float_from_bf16(bf16_from_float(scale));
}

/// Moves each 32 values onto the lattice of `rule`, then to bfloat16.
inline void put_on_lattice(const ScaleRule& rule, std::span<float> values) {
  for (size_t begin = 0; begin < values.size(); begin += 32) {
    const std::span<float> block = values.subspan(begin, 32);
    const float extremum = *std::ranges::max_element(block, {}, [](float value) { return std::fabs(value); });
    const float numerator = rule.is_signed ? extremum : std::fabs(extremum);
    const float scale = rounded_scale(numerator / rule.divisor, rule.scale_type);
    for (float& value : block) {
      const float code = scale == 0 ? 0.0f : std::clamp(std::nearbyint(value / scale), -8.0f, 7.0f);
      value = float_from_bf16(bf16_from_float(code * scale));
    }
  }
}

/// Writes `model` as a folder of bfloat16 whose matrices, those that "q4_0" has in Q4_0, lie on the lattice of `rule`.
/// It records no scheme, as published ones do not.
inline Status write_on_lattice(const std::filesystem::path& folder, const TinyModel& model, const ScaleRule& rule) {
  std::vector<TensorSpec> tensors = expected_tensors(model.config);
  for (TensorSpec& spec : tensors) spec.dtype = DType::kBF16;
  const Scheme& scheme = *built_in_scheme("q4_0");
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
    std::vector<float> values = model.values(spec);
    if (scheme.lattice_of(spec.name) == DType::kQ4_0) put_on_lattice(rule, values);
    std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
    encode(DType::kBF16, values, stored);
    return sink(stored);
  };
  CARAT_TRY(const uint64_t bytes, write_checkpoint(folder, model.config, model.vocabulary, tensors, produce));
  return bytes > 0 ? success() : failed(folder.string() + ": nothing was written");
}

}  // namespace carat
