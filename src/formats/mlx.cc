#include "formats/mlx.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/mapped_pages.h"
#include "formats/code_scales.h"
#include "formats/head_beside.h"
#include "formats/mlx_names.h"
#include "formats/mlx_rules.h"
#include "formats/names.h"
#include "formats/quote.h"
#include "lattice/codes.h"

namespace carat {
namespace {

constexpr int64_t kWordBits = 32;
constexpr int64_t kMostExtent = int64_t{1} << 40;  // so that a row's codes can be counted
constexpr int64_t kPiece = int64_t{1} << 19;       // biases that are compared before their pages are released

/// The tensors of one module of the file, null where it has none.
struct StoredModule {
  std::string name;  ///< the file's own
  const StoredTensor* weight = nullptr;
  const StoredTensor* scales = nullptr;
  const StoredTensor* biases = nullptr;

  std::string weight_name() const { return weight_of_module(module_of_mlx(name)); }
};

constexpr std::pair<std::string_view, const StoredTensor * StoredModule::*> kMembers[] = {
    {".weight", &StoredModule::weight},
    {".scales", &StoredModule::scales},
    {".biases", &StoredModule::biases},
};

std::string described(const StoredTensor& tensor) { return shape_text(tensor.shape) + " " + printable(tensor.dtype); }

std::optional<DType> codes_of_width(int64_t bits) {
  for (const DType type : {DType::kI4, DType::kI2}) {
    if (code_bits(type) == bits) return type;
  }
  return std::nullopt;
}

/// Sorts the tensors of a file into modules, and reads those of the text model.
class MlxReader {
 public:
  MlxReader(const MlxRules& rules, const ModelConfig& config, const std::string& source)
      : rules_(rules), source_(source) {
    for (size_t layer = 0; layer < config.layers.size(); ++layer) {
      if (config.owns_kv(layer)) continue;
      const std::string attention = "model.layers." + std::to_string(layer) + ".self_attn";
      for (const char* projection : {".k_proj.weight", ".v_proj.weight"}) unused_.insert(attention + projection);
    }
  }

  Result<std::vector<NamedTensor>> read(const std::vector<StoredTensor>& stored) {
    for (const StoredTensor& tensor : stored) CARAT_TRY_STATUS(sort(tensor));
    for (const StoredModule& module : modules_) {
      const std::string name = module.weight_name();
      if (!is_of_text_model(name) || unused_.contains(name)) continue;
      CARAT_TRY_STATUS(add_module(module));
    }
    return tensors_.take(source_);
  }

 private:
  Error refusal(const StoredTensor& tensor, const std::string& message) const {
    return refused(source_ + ": " + printable(tensor.name) + ": " + message);
  }

  Status sort(const StoredTensor& tensor) {
    const std::string_view name = tensor.name;
    for (const auto& [suffix, member] : kMembers) {
      if (!name.ends_with(suffix)) continue;
      const StoredTensor*& place = module_of(name.substr(0, name.size() - suffix.size())).*member;
      if (place != nullptr) return refusal(tensor, "is there twice");
      place = &tensor;
      return success();
    }
    std::string text_name = module_of_mlx(name);
    if (!is_of_text_model(text_name)) return success();
    CARAT_TRY(NamedTensor values, float_tensor(tensor, std::move(text_name), source_));
    tensors_.add(std::move(values));
    return success();
  }

  StoredModule& module_of(std::string_view name) {
    const auto [entry, added] = module_index_.emplace(name, modules_.size());
    if (added) modules_.push_back({std::string(name)});
    return modules_[entry->second];
  }

  Status add_module(const StoredModule& module) {
    if (module.weight == nullptr) {
      return refusal(module.scales != nullptr ? *module.scales : *module.biases,
                     "belongs to a weight, which is missing");
    }
    if (module.scales != nullptr) return add_codes(module);
    if (module.biases != nullptr) return refusal(*module.biases, "belongs to scales, which are missing");
    if (module.weight->dtype == "U32" || rules_.asks_for_codes(module.name)) {
      return refusal(*module.weight, "found " + described(*module.weight) + " without scales; expected codes with " +
                                         "scales and biases beside them; copy the file again");
    }
    CARAT_TRY(NamedTensor values, float_tensor(*module.weight, module.weight_name(), source_));
    tensors_.add(std::move(values));
    return success();
  }

  Status add_codes(const StoredModule& module) {
    const StoredTensor& stored = *module.weight;
    if (module.biases == nullptr) return refusal(*module.scales, "belongs to biases, which are missing");
    const std::optional<MlxCodes> form = rules_.codes_of(module.name);
    if (!form) return refusal(*module.scales, "is there, but config.json says that the module is not quantized");
    const std::optional<DType> type = codes_of_width(form->bits);
    if (!type) {
      return refusal(stored,
                     "codes of " + std::to_string(form->bits) +
                         " bits are not supported in MLX folders, expected 4 or 2; convert the model's float or "
                         "GGUF file instead");
    }
    CARAT_TRY(NamedTensor codes, unpacked(module, *type));
    CARAT_TRY(codes.view.scales, scales_of(module, *form, codes.view));
    CARAT_TRY_STATUS(check_scales(codes.name, codes.view.scales, source_, ScaleSigns::kBoth));
    CARAT_TRY_STATUS(check_biases(module, codes.view));
    tensors_.add(std::move(codes));
    return success();
  }

  /// The words are the bytes of our codes: the first code in the lowest bits, and each is stored as its distance from
  /// the lowest.
  Result<NamedTensor> unpacked(const StoredModule& module, DType type) const {
    const StoredTensor& words = *module.weight;
    const bool rank = words.shape.size() == 2 || words.shape.size() == 3;
    const bool extents = std::ranges::all_of(words.shape, [](int64_t n) { return n >= 1 && n <= kMostExtent; });
    if (words.dtype != "U32" || !rank || !extents) {
      return refusal(words, "found " + described(words) + ", expected a matrix of U32, or one for each expert");
    }
    Shape shape = words.shape;
    shape.back() *= kWordBits / code_bits(type);
    return NamedTensor{module.weight_name(), {type, std::move(shape), words.data}};
  }

  Result<ScaleView> scales_of(const StoredModule& module, const MlxCodes& form, const TensorView& codes) const {
    const StoredTensor& scales = *module.scales;
    if (codes.columns() % form.columns != 0) {
      return refusal(*module.weight, "groups of " + std::to_string(form.columns) + " columns do not divide rows of " +
                                         std::to_string(codes.columns()) +
                                         ", which config.json asks for; the files are of different models");
    }
    Shape expected = codes.shape;
    expected.back() /= form.columns;
    const auto dtype = float_type(scales.dtype);
    for (const StoredTensor* tensor : {&scales, module.biases}) {
      const bool fits = tensor->shape == expected && tensor->dtype == scales.dtype;
      if (fits && (dtype == DType::kF32 || dtype == DType::kBF16)) continue;
      return refusal(*tensor, "found " + described(*tensor) + ", expected " + shape_text(expected) +
                                  " BF16 or F32, scales and biases alike");
    }
    return ScaleView{*dtype, expected.back(), scales.data};
  }

  /// A code's distance from the lowest, times the scale, plus the bias, is code times scale only where the bias is the
  /// lowest code times the scale. That product is exact, unless it is infinite.
  Status check_biases(const StoredModule& module, const TensorView& codes) const {
    const ScaleView& scales = codes.scales;
    const ScaleView biases{scales.dtype, scales.groups, module.biases->data};
    const auto lowest = static_cast<float>(code_range(code_bits(codes.dtype)).lowest);
    const int64_t count = codes.rows() * scales.groups;
    const auto width = static_cast<size_t>(block_bytes(scales.dtype));
    for (int64_t begin = 0; begin < count; begin += kPiece) {
      const int64_t end = std::min(begin + kPiece, count);
      for (int64_t i = begin; i < end; ++i) {
        const float scale = scales.at(0, i), bias = biases.at(0, i);
        if (bias == lowest * scale) continue;
        return refusal(*module.biases, "row " + std::to_string(i / scales.groups) + ", group " +
                                           std::to_string(i % scales.groups) + ": found " + number_text(bias) +
                                           " beside the scale " + number_text(scale) + ", expected " +
                                           number_text(lowest * scale) +
                                           "; affine with an offset of its own: not a symmetric lattice; " +
                                           "convert the model's float or GGUF file instead");
      }
      const auto offset = static_cast<size_t>(begin) * width, size = static_cast<size_t>(end - begin) * width;
      release_mapped_pages(scales.data.subspan(offset, size));
      release_mapped_pages(biases.data.subspan(offset, size));
    }
    return success();
  }

  const MlxRules& rules_;
  const std::string& source_;
  std::vector<StoredModule> modules_;
  std::unordered_map<std::string, size_t> module_index_;
  std::unordered_set<std::string> unused_;  // weights of layers that share keys and values
  HeadBeside tensors_;
};

}  // namespace

Result<std::vector<NamedTensor>> tensors_of_mlx(const std::vector<StoredTensor>& stored,
                                                const nlohmann::ordered_json& quantization, const ModelConfig& config,
                                                const std::string& source) {
  CARAT_TRY(const MlxRules rules, MlxRules::read(quantization, source + ": quantization"));
  return MlxReader(rules, config, source).read(stored);
}

}  // namespace carat
