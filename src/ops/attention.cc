#include "ops/attention.h"

#include <algorithm>
#include <limits>
#include <span>

#include "base/check.h"
#include "formats/model_config.h"
#include "ops/grain.h"
#include "ops/ops.h"
#include "ops/rotation.h"

namespace carat {
namespace {

// Keys whose scores are held at once. Pieces begin at multiples of it, so neither the ring's capacity nor the way a
// prompt is split moves a boundary.
constexpr int64_t kPiece = 128;

// Queries of one key-value head that use a decoded row before it is dropped.
constexpr int64_t kQueries = 32;

// Rows that are read at once, 32 KiB of them: they stay in a first-level cache while the queries pass over them.
constexpr int64_t kRowFloats = 8192;
static_assert(kRowFloats >= kWidestHead);

constexpr float kNothing = -std::numeric_limits<float>::infinity();

struct Positions {
  int64_t begin, end;
  bool empty() const { return begin >= end; }
};

Positions intersection(Positions a, Positions b) { return {std::max(a.begin, b.begin), std::min(a.end, b.end)}; }

/// The keys or values of some positions as float32: where they lie, or decoded.
struct FloatRows {
  const float* first;
  int64_t stride;
  Positions positions;

  const float* at(int64_t position) const { return first + (position - positions.begin) * stride; }
};

/// Reads the rows of one key-value head, a few at a time.
class HeadReader {
 public:
  HeadReader(const Kernels& kernels, const KeyValueView& cache, int64_t kv_head)
      : decode_(kernels.decode_row[static_cast<size_t>(cache.type)]),
        cache_(cache),
        head_bytes_(static_cast<int64_t>(*row_bytes(cache.type, static_cast<uint64_t>(cache.width)))),
        offset_(kv_head * head_bytes_) {}

  template <typename Body>
  void for_keys(Positions positions, Body body) {
    const bool kept = cache_.keys != nullptr;
    for_rows(kept ? Store{cache_.keys, cache_.key_scale} : Store{cache_.values, cache_.value_scale}, !kept, positions,
             body);
  }

  template <typename Body>
  void for_values(Positions positions, Body body) {
    for_rows(Store{cache_.values, cache_.value_scale}, false, positions, body);
  }

 private:
  struct Store {
    const std::byte* rows;
    float scale;  // of codes
  };

  template <typename Body>
  void for_rows(const Store& store, bool make_keys, Positions positions, Body body) {
    const int64_t row_stride = cache_.kv_heads * head_bytes_;
    while (!positions.empty()) {
      const int64_t row = positions.begin % cache_.capacity;
      const int64_t count =
          std::min({positions.end - positions.begin, cache_.capacity - row, kRowFloats / cache_.width});
      const Positions some = {positions.begin, positions.begin + count};
      const std::byte* rows = store.rows + row * row_stride + offset_;
      if (cache_.type == DType::kF32 && !make_keys) {
        body(FloatRows{reinterpret_cast<const float*>(rows), cache_.kv_heads * cache_.width, some});
      } else {
        for (int64_t j = 0; j < count; ++j) decode_(rows + j * row_stride, cache_.width, decoded_ + j * cache_.width);
        if (cache_.type == DType::kI8) apply_scale(store.scale, row, count);
        if (make_keys) make_keys_of(some);
        body(FloatRows{decoded_, cache_.width, some});
      }
      positions.begin += count;
    }
  }

  void apply_scale(float scale, int64_t row, int64_t count) {
    for (int64_t i = 0; i < count * cache_.width; ++i) decoded_[i] *= scale;
    for (int64_t j = 0; j < count; ++j) {
      const auto index = static_cast<size_t>(row + j);
      if (index >= cache_.faults.size() || cache_.faults[index] == 0) continue;
      std::fill_n(decoded_ + j * cache_.width, cache_.width, std::numeric_limits<float>::quiet_NaN());
    }
  }

  void make_keys_of(Positions positions) {
    for (int64_t p = positions.begin; p < positions.end; ++p) {
      float* key = decoded_ + (p - positions.begin) * cache_.width;
      for (int64_t c = 0; c < cache_.width; ++c) key[c] *= cache_.key_norm[c];
      rotate_pairs(key, cache_.width, cache_.rotated_pairs, cache_.rotations + p * 2 * cache_.rotated_pairs);
    }
  }

  const DecodeRow decode_;
  const KeyValueView& cache_;
  const int64_t head_bytes_;
  const int64_t offset_;
  float decoded_[kRowFloats];
};

/// Queries of one key-value head, and the keys of one piece that each of them sees.
struct Tile {
  int64_t count = 0;
  int64_t query[kQueries];  // of [T, H]
  Positions seen[kQueries];
  Positions needed;  // by any of them
};

/// One float for each position of a piece.
struct Scores {
  float* first;
  int64_t begin;
  float* at(int64_t position) const { return first + (position - begin); }
};

/// What exp(score - maximum) sums to over some keys of one query; no keys sum to 0.
struct Weights {
  float maximum;
  float sum;
};

/// All queries of one call. Each query meets each piece of its keys apart from the others, and the pieces are then
/// added in order: so pieces can be shared among threads, and no bit depends on how.
class Attention {
 public:
  Attention(const Kernels& kernels, const float* q, const KeyValueView& cache, const AttentionShape& shape,
            std::span<float> scratch, float* out)
      : kernels_(kernels),
        q_(q),
        cache_(cache),
        shape_(shape),
        width_(cache.width),
        group_(shape.heads / cache.kv_heads),
        queries_(shape.T * shape.heads),
        tiles_((shape.T * group_ + kQueries - 1) / kQueries),
        most_pieces_((static_cast<int64_t>(scratch.size()) / queries_ - 2) / (width_ + 2)),
        totals_(scratch.data()),
        parts_(totals_ + 2 * queries_),
        part_outs_(parts_ + 2 * queries_ * most_pieces_),
        out_(out) {}

  void run(ThreadPool& pool) {
    for (int64_t query = 0; query < queries_; ++query) store({kNothing, 0.0f}, totals_ + 2 * query);
    std::fill_n(out_, queries_ * width_, 0.0f);
    const int64_t end = (shape_.first_position + shape_.T - 1) / kPiece + 1;
    for (int64_t piece = visible(0).begin / kPiece; piece < end; piece += most_pieces_) {
      const int64_t count = std::min(most_pieces_, end - piece);
      meet(pool, piece, count);
      add(pool, count);
    }
    divide_by_sums(pool);
  }

 private:
  static Weights load(const float* stored) { return {stored[0], stored[1]}; }
  static void store(Weights weights, float* stored) {
    stored[0] = weights.maximum;
    stored[1] = weights.sum;
  }

  Positions visible(int64_t token) const {
    const int64_t end = shape_.first_position + token + 1;
    return {shape_.window > 0 ? std::max<int64_t>(0, end - shape_.window) : 0, end};
  }

  void meet(ThreadPool& pool, int64_t first_piece, int64_t count) {
    const int64_t work = 2 * std::min(kQueries, shape_.T * group_) * kPiece * width_;
    const int64_t per_piece = cache_.kv_heads * tiles_;
    pool.parallel_for(count * per_piece, grain_for(work), [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t place = item / per_piece, kv_head = item % per_piece / tiles_, tile = item % tiles_;
        meet_piece(first_piece + place, place, kv_head, tile);
      }
    });
  }

  Tile tile_of(Positions piece, int64_t kv_head, int64_t number) const {
    Tile tile;
    tile.needed = {piece.end, piece.begin};
    const int64_t end = std::min((number + 1) * kQueries, shape_.T * group_);
    for (int64_t i = number * kQueries; i < end; ++i) {
      const int64_t token = i / group_;
      const Positions seen = intersection(visible(token), piece);
      tile.query[tile.count] = token * shape_.heads + kv_head * group_ + i % group_;
      tile.seen[tile.count++] = seen;
      if (!seen.empty()) tile.needed = {std::min(tile.needed.begin, seen.begin), std::max(tile.needed.end, seen.end)};
    }
    return tile;
  }

  void meet_piece(int64_t number, int64_t place, int64_t kv_head, int64_t tile_number) {
    const Positions piece = {number * kPiece, (number + 1) * kPiece};
    const Tile tile = tile_of(piece, kv_head, tile_number);
    HeadReader reader(kernels_, cache_, kv_head);
    float scores[kQueries][kPiece];
    reader.for_keys(tile.needed, [&](const FloatRows& keys) {
      for (int64_t i = 0; i < tile.count; ++i) {
        score(tile.query[i], keys, intersection(tile.seen[i], keys.positions), Scores{scores[i], piece.begin});
      }
    });
    for (int64_t i = 0; i < tile.count; ++i) {
      const int64_t part = place * queries_ + tile.query[i];
      store(weigh(tile.seen[i], Scores{scores[i], piece.begin}), parts_ + 2 * part);
      std::fill_n(part_outs_ + part * width_, width_, 0.0f);
    }
    reader.for_values(tile.needed, [&](const FloatRows& values) {
      for (int64_t i = 0; i < tile.count; ++i) {
        add_values(values, intersection(tile.seen[i], values.positions), Scores{scores[i], piece.begin},
                   part_outs_ + (place * queries_ + tile.query[i]) * width_);
      }
    });
  }

  void score(int64_t query, const FloatRows& keys, Positions positions, Scores scores) const {
    if (positions.empty()) return;
    const auto dot = kernels_.rows_dot[static_cast<size_t>(DType::kF32)];
    dot(reinterpret_cast<const std::byte*>(q_ + query * width_), keys.at(positions.begin), keys.stride,
        positions.end - positions.begin, width_, scores.at(positions.begin), 1);
  }

  Weights weigh(Positions positions, Scores scores) const {
    if (positions.empty()) return {kNothing, 0.0f};
    const int64_t count = positions.end - positions.begin;
    const float maximum = kernels_.maximum(scores.at(positions.begin), count);
    return {maximum, kernels_.exp_sum(scores.at(positions.begin), count, maximum)};
  }

  void add_values(const FloatRows& values, Positions positions, Scores scores, float* out) const {
    if (positions.empty()) return;
    kernels_.add_weighted_rows(scores.at(positions.begin), values.at(positions.begin), values.stride,
                               positions.end - positions.begin, width_, out);
  }

  void add(ThreadPool& pool, int64_t count) {
    pool.parallel_for(queries_, grain_for(count * width_), [&](int64_t begin, int64_t end) {
      for (int64_t query = begin; query < end; ++query) {
        for (int64_t place = 0; place < count; ++place) add_part(query, place * queries_ + query);
      }
    });
  }

  void add_part(int64_t query, int64_t part_number) {
    const Weights part = load(parts_ + 2 * part_number);
    if (part.sum == 0.0f) return;
    Weights total = load(totals_ + 2 * query);
    float* out = out_ + query * width_;
    float weight = 1.0f;
    if (part.maximum > total.maximum) {
      const float factor = total.sum == 0.0f ? 0.0f : exponential(total.maximum - part.maximum);
      for (int64_t c = 0; c < width_; ++c) out[c] *= factor;
      total = {part.maximum, total.sum * factor};
    } else {
      weight = exponential(part.maximum - total.maximum);
    }
    total.sum += weight * part.sum;
    store(total, totals_ + 2 * query);
    kernels_.add_weighted_rows(&weight, part_outs_ + part_number * width_, width_, 1, width_, out);
  }

  float exponential(float x) const {
    kernels_.exp_sum(&x, 1, 0.0f);
    return x;
  }

  void divide_by_sums(ThreadPool& pool) {
    pool.parallel_for(queries_, grain_for(width_), [&](int64_t begin, int64_t end) {
      for (int64_t query = begin; query < end; ++query) {
        const float factor = 1.0f / load(totals_ + 2 * query).sum;
        for (int64_t c = 0; c < width_; ++c) out_[query * width_ + c] *= factor;
      }
    });
  }

  const Kernels& kernels_;
  const float* q_;
  const KeyValueView& cache_;
  const AttentionShape& shape_;
  const int64_t width_;
  const int64_t group_;        // query heads of a key-value head
  const int64_t queries_;      // T * H
  const int64_t tiles_;        // of the queries of a key-value head
  const int64_t most_pieces_;  // that the scratch memory has room for
  float* totals_;              // [T, H, 2]                  Weights of the pieces added so far
  float* parts_;               // [most_pieces_, T, H, 2]    Weights of each piece
  float* part_outs_;           // [most_pieces_, T, H, width]
  float* out_;                 // [T, H, width]
};

}  // namespace

void Ops::attention(const float* q, const KeyValueView& cache, const AttentionShape& shape, std::span<float> scratch,
                    float* out) {
  CARAT_CHECK(static_cast<int64_t>(scratch.size()) >= attention_scratch(shape.T, shape.heads, cache.width),
              "scratch memory for all queries");
  Attention(kernels_, q, cache, shape, scratch, out).run(pool_);
}

}  // namespace carat
