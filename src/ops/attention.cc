#include <algorithm>
#include <limits>

#include "ops/ops.h"

namespace carat {
namespace {

// Keys whose scores are held at once. Pieces begin at multiples of it, so neither the ring's capacity nor the way a
// prompt is split moves a boundary.
constexpr int64_t kPiece = 128;

/// Calls body(row, first, count) for the stretches of [begin, end) that are contiguous in the ring.
template <typename Body>
void for_each_stretch(int64_t capacity, int64_t begin, int64_t end, Body body) {
  while (begin < end) {
    const int64_t row = begin % capacity;
    const int64_t count = std::min(end - begin, capacity - row);
    body(row, begin, count);
    begin += count;
  }
}

/// One query head over keys [begin, end), with a softmax that is rescaled whenever a piece raises the maximum.
class OneHead {
 public:
  OneHead(const Kernels& kernels, const KeyValueView& cache, int64_t kv_head, const float* q, float* out)
      : kernels_(kernels), cache_(cache), offset_(kv_head * cache.width), q_(q), out_(out) {}

  void attend(int64_t begin, int64_t end) {
    std::fill_n(out_, cache_.width, 0.0f);
    for (int64_t piece = begin; piece < end;) {
      const int64_t piece_end = std::min(end, (piece / kPiece + 1) * kPiece);
      add_piece(piece, piece_end);
      piece = piece_end;
    }
    rescale(1.0f / sum_);
  }

 private:
  void add_piece(int64_t begin, int64_t end) {
    const int64_t stride = cache_.kv_heads * cache_.width;
    float scores[kPiece];
    for_each_stretch(cache_.capacity, begin, end, [&](int64_t row, int64_t first, int64_t count) {
      kernels_.rows_dot[static_cast<size_t>(DType::kF32)](reinterpret_cast<const std::byte*>(q_),
                                                          cache_.keys + row * stride + offset_, stride, count,
                                                          cache_.width, scores + (first - begin), 1);
    });
    raise_maximum(kernels_.maximum(scores, end - begin));
    sum_ += kernels_.exp_sum(scores, end - begin, maximum_);
    for_each_stretch(cache_.capacity, begin, end, [&](int64_t row, int64_t first, int64_t count) {
      kernels_.add_weighted_rows(scores + (first - begin), cache_.values + row * stride + offset_, stride, count,
                                 cache_.width, out_);
    });
  }

  void raise_maximum(float score) {
    if (score <= maximum_) return;
    float factor = maximum_;
    kernels_.exp_sum(&factor, 1, score);
    if (sum_ > 0) rescale(factor);
    sum_ *= factor;
    maximum_ = score;
  }

  void rescale(float factor) {
    for (int64_t c = 0; c < cache_.width; ++c) out_[c] *= factor;
  }

  const Kernels& kernels_;
  const KeyValueView& cache_;
  int64_t offset_;
  const float* q_;
  float* out_;
  float maximum_ = -std::numeric_limits<float>::infinity();
  float sum_ = 0;
};

}  // namespace

void Ops::attention(const float* q, const KeyValueView& cache, int64_t T, int64_t heads, int64_t first_position,
                    int64_t window, float* out) {
  const int64_t heads_per_kv = heads / cache.kv_heads;
  const int64_t seen = window > 0 ? std::min(window, first_position + T) : first_position + T;
  const int64_t grain = std::max<int64_t>(1, 32768 / (2 * seen * cache.width));
  pool_.parallel_for(T * heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t last = first_position + item / heads;
      const int64_t first = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
      OneHead head(kernels_, cache, item % heads / heads_per_kv, q + item * cache.width, out + item * cache.width);
      head.attend(first, last + 1);
    }
  });
}

}  // namespace carat
