#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/recarry.h"
#include "tensor/float_formats.h"
#include "tests/support/coded_model.h"
#include "tests/support/edited_checkpoint.h"

namespace carat {

/// What a file can hold the same weights in.
enum class Form : uint8_t { kCompressedTensors, kMlx, kBlocks, kF32, kBF16 };

inline constexpr Form kForms[] = {Form::kCompressedTensors, Form::kMlx, Form::kBlocks, Form::kF32, Form::kBF16};

inline Container container_of(Form form) {
  if (form == Form::kCompressedTensors) return Container::kCompressedTensors;
  if (form == Form::kMlx) return Container::kMlx;
  return form == Form::kBlocks ? Container::kGguf : Container::kSafetensors;
}

/// Codes of 4 bits in groups of 32, with scales that BF16 and F16 both hold, as numbers that a test can change before
/// they are written in a form.
struct GroupedWeights {
  struct Tensor {
    std::vector<int8_t> codes;  // none where there are only values
    std::vector<float> scales;
    std::vector<float> values;
  };

  explicit GroupedWeights(const TinyShape& shape = {}, uint32_t seed = 1) : model(shape, grouped_scheme(), seed) {
    for (TensorSpec& spec : model.tensors) {
      if (is_code_type(spec.dtype)) spec.scale_dtype = DType::kBF16;
      Tensor& tensor = tensors[spec.name];
      const TensorProducer produce = model.producer();
      const auto keep = [&](DType dtype, std::vector<float>& out) {
        return [&out, dtype](Bytes bytes) {
          out.resize(bytes.size() / static_cast<size_t>(block_bytes(dtype)));
          decode(dtype, bytes, out);
          return success();
        };
      };
      if (!is_code_type(spec.dtype)) {
        CARAT_CHECK(produce(spec, keep(spec.dtype, tensor.values)).ok(), "values");
        continue;
      }
      CARAT_CHECK(produce(scales_of(spec), keep(DType::kBF16, tensor.scales)).ok(), "scales");
      const auto keep_codes = [&](Bytes bytes) {
        tensor.codes.resize(bytes.size() * 2);
        unpack_codes(spec.dtype, bytes, tensor.codes);
        return success();
      };
      CARAT_CHECK(produce(spec, keep_codes).ok(), "codes");
    }
  }

  /// Values as code times scale.
  std::vector<float> decoded(const std::string& name) const {
    const Tensor& tensor = tensors.at(name);
    if (tensor.codes.empty()) return tensor.values;
    std::vector<float> values(tensor.codes.size());
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(tensor.codes[i]) * tensor.scales[i / 32];
    return values;
  }

  /// `edit` changes the values of a form of floats, after rounding.
  void write(const std::filesystem::path& target, Form form, const TensorEdit& edit = nullptr) const {
    std::vector<TensorSpec> specs;
    for (const TensorSpec& spec : model.tensors) specs.push_back(stored_as(spec, form));
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
      std::vector<std::byte> bytes = stored(spec, form, edit);
      return sink(bytes);
    };
    const auto written = write_checkpoint(target, container_of(form), model.config, model.vocabulary, specs, produce);
    CARAT_CHECK(written.ok(), written.ok() ? "" : written.error().message.c_str());
  }

  CodedModel model;
  std::map<std::string, Tensor> tensors;

 private:
  static TensorSpec stored_as(TensorSpec spec, Form form) {
    if (is_code_type(spec.dtype) && (form == Form::kF32 || form == Form::kBF16 || form == Form::kBlocks)) {
      spec.dtype = form == Form::kF32 ? DType::kF32 : form == Form::kBF16 ? DType::kBF16 : DType::kQ4_0;
      spec.scale_groups = 0;
    }
    spec.dtype = storable(container_of(form), spec.dtype, spec.name, spec.shape);
    return spec;
  }

  std::vector<std::byte> stored(const TensorSpec& spec, Form form, const TensorEdit& edit) const {
    std::vector<std::byte> bytes(*tensor_bytes(spec.dtype, spec.shape));
    constexpr std::string_view kScale = "_scale";
    if (spec.name.ends_with(kScale)) {
      encode(spec.dtype, tensors.at(spec.name.substr(0, spec.name.size() - kScale.size())).scales, bytes);
    } else if (is_code_type(spec.dtype)) {
      pack_codes(spec.dtype, tensors.at(spec.name).codes, bytes);
    } else if (spec.dtype == DType::kQ4_0) {
      write_blocks(tensors.at(spec.name), bytes);
    } else {
      std::vector<float> values = decoded(spec.name);
      if (form == Form::kF32 || form == Form::kBF16) snap(spec.dtype, values, values);
      if (edit) edit(spec.name, values);
      // Not `encode`, which takes infinities to the largest finite value.
      for (size_t i = 0; i < values.size(); ++i) {
        const uint16_t narrow = bf16_from_float(values[i]);
        if (spec.dtype == DType::kF32) std::memcpy(bytes.data() + i * 4, &values[i], 4);
        if (spec.dtype == DType::kBF16) std::memcpy(bytes.data() + i * 2, &narrow, 2);
      }
    }
    return bytes;
  }

  static void write_blocks(const Tensor& tensor, std::span<std::byte> out) {
    std::vector<std::byte> packed(16);
    for (size_t block = 0; block < tensor.scales.size(); ++block) {
      pack_codes(DType::kI4, std::span(tensor.codes).subspan(block * 32, 32), packed);
      blocks_from_codes(DType::kI4, packed, f16_from_float(tensor.scales[block]), DType::kQ4_0,
                        out.subspan(block * 18, 18));
    }
  }
};

}  // namespace carat
