#include "model/random_model.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "formats/checkpoint.h"
#include "lattice/lattice.h"

namespace carat {
namespace {

constexpr float kLayerScalar = 0.875f;
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
  if (spec.name.ends_with(".layer_scalar")) return kLayerScalar;
  if (spec.name.ends_with("k_norm.weight")) {
    return static_cast<float>(1.0 / std::sqrt(static_cast<double>(spec.shape.back())));
  }
  return 1.0f;
}

/// Produces the tensors of a random model, some rows at a time.
class Producer {
 public:
  Producer(const RandomModel& model, ThreadPool& threads, const RandomModelProgress& progress, uint64_t total)
      : model_(model), threads_(threads), progress_(progress), total_(total) {}

  Status produce(const TensorSpec& spec, const ByteSink& sink) {
    const int64_t columns = spec.shape.back();
    const int64_t rows = *element_count(spec.shape) / columns;
    const int64_t rows_at_once = std::clamp<int64_t>(kPieceElements / columns, 1, rows);
    for (int64_t begin = 0; begin < rows; begin += rows_at_once) {
      const int64_t end = std::min(begin + rows_at_once, rows);
      fill_piece(spec, begin, end, columns);
      CARAT_TRY_STATUS(sink(stored_));
      done_ += static_cast<uint64_t>((end - begin) * columns);
      if (!progress_(done_, total_)) return Error{ErrorKind::kInterrupted, "the model was not written: interrupted"};
    }
    return success();
  }

 private:
  void fill_piece(const TensorSpec& spec, int64_t begin, int64_t end, int64_t columns) {
    const DType lattice = model_.scheme.lattice_of(spec.name);
    const auto width = static_cast<size_t>(columns);
    const auto row_size = static_cast<size_t>(*row_bytes(spec.dtype, width));
    values_.resize(static_cast<size_t>(end - begin) * width);
    stored_.resize(static_cast<size_t>(end - begin) * row_size);
    threads_.parallel_for(end - begin, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const std::span<float> row(values_.data() + static_cast<size_t>(i) * width, width);
        fill_row(spec, begin + i, row);
        if (lattice != spec.dtype) snap(lattice, row, row);
        encode(spec.dtype, row, std::span(stored_).subspan(static_cast<size_t>(i) * row_size, row_size));
      }
    });
  }

  void fill_row(const TensorSpec& spec, int64_t index, std::span<float> row) const {
    if (spec.shape.size() < 2) {
      std::ranges::fill(row, vector_value(spec));
      return;
    }
    const bool per_layer_table = spec.name.ends_with("embed_tokens_per_layer.weight");
    const auto width = static_cast<double>(per_layer_table ? model_.config.per_layer_width : spec.shape.back());
    const auto factor = static_cast<float>(1.0 / (kBellDeviation * std::sqrt(width)));
    Random random(scatter(scatter(model_.seed ^ hash_of(spec.name)) + static_cast<uint64_t>(index)));
    for (float& value : row) value = bell(random) * factor;
  }

  const RandomModel& model_;
  ThreadPool& threads_;
  const RandomModelProgress& progress_;
  uint64_t total_;
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
  std::vector<TensorSpec> tensors = expected_tensors(model.config);
  uint64_t total = 0;
  for (TensorSpec& spec : tensors) {
    spec.dtype = storable(container, model.scheme.lattice_of(spec.name), spec.name, spec.shape);
    total += static_cast<uint64_t>(*element_count(spec.shape));
  }
  ModelConfig config = model.config;
  config.scheme = model.scheme.name;
  Producer producer(model, threads, progress, total);
  const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) { return producer.produce(spec, sink); };
  return write_checkpoint(target, config, model.vocabulary, tensors, produce);
}

}  // namespace carat
