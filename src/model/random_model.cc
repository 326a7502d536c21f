#include "model/random_model.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "formats/checkpoint.h"
#include "formats/quote.h"
#include "formats/scheme_tensors.h"
#include "lattice/lattice.h"
#include "model/random_codes.h"
#include "model/random_ranges.h"

namespace carat {
namespace {

constexpr int64_t kPieceElements = int64_t{1} << 20;

/// Scatters the bits of a number (the finalizer of MurmurHash3 by A. Appleby).
uint64_t scatter(uint64_t bits) {
  bits = (bits ^ (bits >> 33)) * 0xff51afd7ed558ccdu;
  bits = (bits ^ (bits >> 33)) * 0xc4ceb9fe1a85ec53u;
  return bits ^ (bits >> 33);
}

/// FNV-1a.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char character : text) hash = (hash ^ static_cast<unsigned char>(character)) * 0x100000001b3u;
  return hash;
}

/// The sum of four 16-bit numbers less its mean: bell-shaped, and much cheaper than a normal distribution where
/// billions are needed.
float bell(Random& random) {
  const uint32_t a = random.next();
  const uint32_t b = random.next();
  const auto sum = static_cast<int32_t>((a >> 16) + (a & 0xffff) + (b >> 16) + (b & 0xffff));
  return static_cast<float>(sum - 2 * 0xffff);
}

/// Standard deviation of `bell`: each of the four has variance (65536^2 - 1) / 12.
const double kBellDeviation = std::sqrt((65536.0 * 65536.0 - 1.0) / 3.0);

float vector_value(const TensorSpec& spec) {
  if (spec.name.ends_with(".layer_scalar")) return kRandomLayerScalar;
  if (spec.name.ends_with("k_norm.weight")) {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.shape.back())));
  }
  return 1.0f;
}

/// Produces the tensors of a random model, some rows at a time.
class Producer {
 public:
  Producer(const RandomModel& model, const std::vector<TensorSpec>& tensors, ThreadPool& threads,
           const RandomModelProgress& progress)
      : model_(model), threads_(threads), progress_(progress), static_scales_(random_static_scales(model.config)) {
    for (const TensorSpec& spec : tensors) {
      total_ += weight_count(spec);
      if (is_code_type(spec.dtype)) codes_of_scales_[scales_of(spec).name] = &spec;
    }
  }

  Status produce(const TensorSpec& spec, const ByteSink& sink) {
    const int64_t columns = spec.shape.empty() ? 1 : spec.shape.back();
    const int64_t rows = *element_count(spec.shape) / columns;
    const uint64_t weights_before = done_;
    const int64_t rows_at_once = std::clamp<int64_t>(kPieceElements / columns, 1, rows);
    for (int64_t begin = 0; begin < rows; begin += rows_at_once) {
      const int64_t end = std::min(begin + rows_at_once, rows);
      fill_piece(spec, begin, end, columns);
      CARAT_TRY_STATUS(sink(stored_));
      done_ = weights_before + weight_count(spec) * static_cast<uint64_t>(end) / static_cast<uint64_t>(rows);
      if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "the model was not written: interrupted"};
    }
    return success();
  }

 private:
  /// Scales are no weights.
  uint64_t weight_count(const TensorSpec& spec) const {
    const bool scales = spec.shape.empty() || codes_of_scales_.contains(spec.name);
    return scales ? 0 : static_cast<uint64_t>(*element_count(spec.shape));
  }

  void fill_piece(const TensorSpec& spec, int64_t begin, int64_t end, int64_t columns) {
    const auto width = static_cast<size_t>(columns);
    const auto row_size = static_cast<size_t>(*row_bytes(spec.dtype, width));
    if (!is_code_type(spec.dtype)) values_.resize(static_cast<size_t>(end - begin) * width);
    stored_.resize(static_cast<size_t>(end - begin) * row_size);
    threads_.parallel_for(end - begin, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const std::span<std::byte> stored(stored_.data() + static_cast<size_t>(i) * row_size, row_size);
        if (is_code_type(spec.dtype)) {
          Random random = random_of_row(spec.name, begin + i);
          draw_codes(spec.dtype, random, stored);
        } else {
          store_values(spec, begin + i, std::span(values_).subspan(static_cast<size_t>(i) * width, width), stored);
        }
      }
    });
  }

  void store_values(const TensorSpec& spec, int64_t row, std::span<float> values, std::span<std::byte> stored) const {
    const auto codes = codes_of_scales_.find(spec.name);
    if (codes != codes_of_scales_.end()) {
      fill_scales(*codes->second, row, values);
    } else if (spec.shape.empty()) {
      values.front() = static_scales_.at(spec.name);
    } else {
      fill_row(spec, row, values);
      const DType lattice = model_.scheme.lattice_of(spec.name);
      if (lattice != spec.dtype) snap(lattice, values, values);
    }
    encode(spec.dtype, values, stored);
  }

  Random random_of_row(const std::string& name, int64_t row) const {
    return Random(scatter(scatter(model_.seed ^ hash_of(name)) + static_cast<uint64_t>(row)));
  }

  double deviation_of(const TensorSpec& spec) const {
    const bool per_layer_table = spec.name.ends_with("embed_tokens_per_layer.weight");
    return 1.0 / std::sqrt(static_cast<double>(per_layer_table ? model_.config.per_layer_width : spec.shape.back()));
  }

  void fill_scales(const TensorSpec& codes, int64_t row, std::span<float> scales) const {
    const double middle = deviation_of(codes) / code_distribution(codes.dtype).deviation;
    Random random = random_of_row(codes.name + "_scale", row);
    for (float& scale : scales) scale = static_cast<float>(middle * (0.9 + 0.2 * random.uniform()));
  }

  void fill_row(const TensorSpec& spec, int64_t row, std::span<float> values) const {
    if (spec.shape.size() < 2) {
      std::ranges::fill(values, vector_value(spec));
      return;
    }
    const auto factor = static_cast<float>(deviation_of(spec) / kBellDeviation);
    Random random = random_of_row(spec.name, row);
    for (float& value : values) value = bell(random) * factor;
  }

  const RandomModel& model_;
  ThreadPool& threads_;
  const RandomModelProgress& progress_;
  std::unordered_map<std::string, float> static_scales_;
  std::unordered_map<std::string, const TensorSpec*> codes_of_scales_;
  uint64_t total_ = 0;
  uint64_t done_ = 0;
  // Of one piece; kept so that only the first ones allocate.
  std::vector<float> values_;
  std::vector<std::byte> stored_;
};

}  // namespace

Result<uint64_t> write_random_model(const std::filesystem::path& target, const RandomModel& model, ThreadPool& threads,
                                    const RandomModelProgress& progress) {
  CARAT_CHECK(model.config.vocabulary == model.vocabulary.size(), "a vocabulary that fits the config");
  const Container container = container_of_path(target);
  if (container == Container::kGguf && has_codes(model.scheme)) {
    return refused(target.string() + ": the scheme " + in_quotes(model.scheme.name) +
                   " has integer codes; write a folder, and convert that to GGUF");
  }
  CARAT_TRY(const std::vector<TensorSpec> tensors, tensors_of_scheme(model.config, model.scheme, container));
  ModelConfig config = model.config;
  config.scheme = model.scheme.name;
  Producer producer(model, tensors, threads, progress);
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) { return producer.produce(spec, sink); };
  return write_checkpoint(target, config, model.vocabulary, tensors, produce);
}

}  // namespace carat
