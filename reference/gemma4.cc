// READ FIRST: the whole Gemma 4 text model, from token ids to logits, in the order in which it computes.
//
// Letters, the same everywhere in this project:
//   T tokens          D hidden width       V vocabulary       L layers
//   H query heads     K key-value heads    W sliding window   P per-layer width
//   E experts
// and, only here: C the width of one head, F the rows of a feed-forward projection. K, C and F differ between layers.
//
// Shapes are row-major, slowest extent first. A linear layer with weight [out, in] maps x [in] to weight * x
// [out]; no linear layer has a bias. A layer is
//
//   x = x + norm(attention(norm(x)))
//   x = x + norm(feed_forward(norm(x)))
//   x = x + norm(per_layer_embedding(x))    where P > 0
//   x = x * scalar
//
// and where E > 0 the second line is x = x + norm(norm(feed_forward(norm(x))) + norm(experts(norm(x)))).
//
// A model in the mobile format has weights of 2, 4 and 8 bits, and rounds the input and the output of its linear
// layers, its keys and its values to 8 bits, with scales that were fixed in training. What is rounded is stored as code
// * scale.
//
// What is particular to this model is marked with "Note".

#include "reference/gemma4.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "base/check.h"
#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "lattice/static_range.h"

namespace carat {
namespace {

// ---------------------------------------------------------------------------------------------- building blocks

/// Activations [T, width] or a weight [out, in].
struct Matrix {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;

  Matrix(int64_t row_count, int64_t column_count)
      : rows(row_count), columns(column_count), values(static_cast<size_t>(row_count * column_count)) {}
  float* row(int64_t index) { return values.data() + index * columns; }
  const float* row(int64_t index) const { return values.data() + index * columns; }
};

double dot(const float* a, const float* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

/// x [T, in], weight [out, in] -> [T, out]
Matrix linear(const Matrix& x, const Matrix& weight) {
  CARAT_CHECK(x.columns == weight.columns, "a linear layer that fits its input");
  Matrix y(x.rows, weight.rows);
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t o = 0; o < weight.rows; ++o) {
      y.row(t)[o] = static_cast<float>(dot(x.row(t), weight.row(o), x.columns));
    }
  }
  return y;
}

/// The same in integers: x goes to codes of 8 bits by one scale, `codes` [out, in] have a scale for each row.
/// Note: the sums are exact; the only roundings are that of x to its codes, and of the sums' conversion and product.
Matrix integer_linear(const Matrix& x, float x_scale, const TensorView& codes) {
  CARAT_CHECK(x.columns == codes.columns(), "a linear layer that fits its input");
  std::vector<int8_t> row(static_cast<size_t>(x.columns));
  Matrix y(x.rows, codes.rows());
  for (int64_t o = 0; o < y.columns; ++o) {
    unpack_codes(codes.dtype, codes.row(o), row);
    const float scale = x_scale * codes.scales.at(o, 0);
    for (int64_t t = 0; t < x.rows; ++t) {
      int64_t sum = 0;
      for (int64_t i = 0; i < x.columns; ++i) sum += row[i] * static_code(x.row(t)[i], x_scale);
      y.row(t)[o] = static_cast<float>(sum) * scale;
    }
  }
  return y;
}

/// Rounds to 8 bits by one scale; 0 leaves x as it is.
void round_static(Matrix& x, float scale) {
  for (float& value : x.values) value = scale > 0 ? snap_static(value, scale) : value;
}

/// x [width] / root mean square of x. `weight` [width] is a gain, or null.
/// Note: the gain multiplies as it is; earlier Gemmas used 1 + weight.
void rms_norm(float* x, int64_t width, const float* weight, double epsilon) {
  const double scale = 1 / std::sqrt(dot(x, x, width) / static_cast<double>(width) + epsilon);
  for (int64_t i = 0; i < width; ++i) x[i] = static_cast<float>(x[i] * scale * (weight ? weight[i] : 1.0f));
}

/// Each of the `width` wide parts of every row of x [T, n * width], normed on its own by the same weight [width].
void norm_parts(Matrix& x, int64_t width, const float* weight, double epsilon) {
  for (int64_t t = 0; t < x.rows; ++t) {
    for (int64_t begin = 0; begin < x.columns; begin += width) rms_norm(x.row(t) + begin, width, weight, epsilon);
  }
}

/// x [T, D], weight [D] -> [T, D]
Matrix norm(Matrix x, const Matrix& weight, double epsilon) {
  norm_parts(x, x.columns, weight.row(0), epsilon);
  return x;
}

/// x += y, both [T, D]
void add(Matrix& x, const Matrix& y) {
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

void scale(Matrix& x, double factor) {
  for (float& value : x.values) value = static_cast<float>(value * factor);
}

/// The tanh form of GELU.
float gelu(float x) {
  const double cubic = x + 0.044715 * std::pow(static_cast<double>(x), 3);
  return static_cast<float>(0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * cubic)));
}

/// gelu(gate) * up, both [T, F]
Matrix gelu_multiply(Matrix gate, const Matrix& up) {
  for (size_t i = 0; i < gate.values.size(); ++i) gate.values[i] = gelu(gate.values[i]) * up.values[i];
  return gate;
}

/// Turns the pairs (i, i + C/2) of one head [C] by position * theta^(-2i / C), for the first `pairs` pairs.
/// Note: where only some pairs rotate ("proportional"), the exponent still counts in the whole head width C.
void rotate(float* head, int64_t width, int64_t pairs, double theta, int64_t position) {
  for (int64_t i = 0; i < pairs; ++i) {
    const double frequency = std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(width));
    const double angle = static_cast<double>(position) * frequency;
    const double a = head[i];
    const double b = head[i + width / 2];
    head[i] = static_cast<float>(a * std::cos(angle) - b * std::sin(angle));
    head[i + width / 2] = static_cast<float>(b * std::cos(angle) + a * std::sin(angle));
  }
}

// ---------------------------------------------------------------------------------------------------- the model

/// What the layers that own keys and values leave for themselves and for the layers that share them.
struct KeysValues {
  Matrix keys;    // [T, K * C], normed, rotated and rounded
  Matrix values;  // [T, K * C], normed and rounded
};

class Gemma4 {
 public:
  Gemma4(const Checkpoint& checkpoint, std::span<const int32_t> ids, bool static_cache)
      : checkpoint_(checkpoint),
        config_(checkpoint.config()),
        ids_(ids),
        tokens_(static_cast<int64_t>(ids.size())),
        static_cache_(static_cache) {}

  std::vector<float> logits() {
    Matrix x = embed();                            // [T, D]
    const Matrix per_layer = per_layer_inputs(x);  // [T, L * P]
    std::vector<KeysValues> caches;  // one for each layer that owns its keys and values; those layers come first
    for (int64_t layer = 0; layer < config_.layer_count(); ++layer) {
      add(x, attention(layer, x, caches));
      add(x, feed_forward(layer, x));
      if (config_.per_layer_width > 0) add(x, per_layer_embedding(layer, x, per_layer));
      scale(x, layer_scalar(layer));  // Note: this scales the whole residual stream, not only what the layer adds
    }
    return head(norm(std::move(x), weight("model.norm.weight"), config_.rms_epsilon));
  }

 private:
  /// Token embeddings times sqrt(D): [T, D].
  Matrix embed() const {
    Matrix x = gather("model.embed_tokens.weight", config_.hidden);
    scale(x, std::sqrt(static_cast<double>(config_.hidden)));
    return x;
  }

  /// For each token and layer P numbers that depend on the token alone: [T, L * P], layer after layer. A second
  /// embedding table gives one half, a projection of the token's (scaled) embedding x [T, D] the other.
  Matrix per_layer_inputs(const Matrix& x) const {
    const int64_t P = config_.per_layer_width;
    if (P == 0) return Matrix(tokens_, 0);

    const int64_t width = config_.layer_count() * P;
    const Matrix table = gather("model.embed_tokens_per_layer.weight", width);  // [T, L * P]
    Matrix projected = project(x, "model.per_layer_model_projection");          // [T, L * P]
    scale(projected, 1 / std::sqrt(static_cast<double>(config_.hidden)));
    const Matrix gain = weight("model.per_layer_projection_norm.weight");  // [P]
    norm_parts(projected, P, gain.row(0), config_.rms_epsilon);

    const double table_scale = std::sqrt(static_cast<double>(P));
    Matrix sum(tokens_, width);
    for (size_t i = 0; i < sum.values.size(); ++i) {
      sum.values[i] = static_cast<float>((projected.values[i] + table.values[i] * table_scale) / std::sqrt(2.0));
    }
    return sum;
  }

  /// x [T, D] -> [T, D]. Appends to `caches` when the layer owns its keys and values.
  Matrix attention(int64_t layer, const Matrix& x, std::vector<KeysValues>& caches) const {
    const LayerConfig& shape = config_.layers[layer];
    const int64_t C = shape.head_width;
    const Matrix h = norm(x, weight(layer, "input_layernorm.weight"), config_.rms_epsilon);  // [T, D]

    Matrix queries = project(h, layer, "self_attn.q_proj");  // [T, H * C]
    norm_parts(queries, C, weight(layer, "self_attn.q_norm.weight").row(0), config_.rms_epsilon);
    rotate_heads(queries, shape);

    if (config_.owns_kv(layer)) {
      Matrix keys = project(h, layer, "self_attn.k_proj");  // [T, K * C]
      // Note: where a layer has no projection of its own for values, they are the keys before norm and rotation.
      Matrix values = shape.value_is_key ? keys : project(h, layer, "self_attn.v_proj");  // [T, K * C]
      norm_parts(keys, C, weight(layer, "self_attn.k_norm.weight").row(0), config_.rms_epsilon);
      rotate_heads(keys, shape);
      norm_parts(values, C, nullptr, config_.rms_epsilon);  // Note: values are normed too, without a gain
      if (static_cache_) {
        round_static(keys, static_scale(layer_name(layer, "self_attn.k_cache_scale")));
        round_static(values, static_scale(layer_name(layer, "self_attn.v_cache_scale")));
      }
      caches.push_back({std::move(keys), std::move(values)});
    }
    // Note: a sharing layer reads the keys and values of the last owning layer of its own attention type.
    const Matrix mixed = mix(queries, caches[shape.kv_layer], shape);  // [T, H * C]
    const Matrix out = project(mixed, layer, "self_attn.o_proj");      // [T, D]
    return norm(out, weight(layer, "post_attention_layernorm.weight"), config_.rms_epsilon);
  }

  /// Rotary position embedding of every head in x [T, heads * C].
  void rotate_heads(Matrix& x, const LayerConfig& shape) const {
    const bool full = shape.attention == AttentionType::kFull;
    const double theta = full ? config_.rope_theta_full : config_.rope_theta_sliding;
    for (int64_t t = 0; t < tokens_; ++t) {
      for (int64_t begin = 0; begin < x.columns; begin += shape.head_width) {
        rotate(x.row(t) + begin, shape.head_width, config_.rotated_pairs(shape), theta, t);
      }
    }
  }

  /// What every position and head sees of the values: queries [T, H * C] -> [T, H * C].
  Matrix mix(const Matrix& queries, const KeysValues& cache, const LayerConfig& shape) const {
    const int64_t C = shape.head_width;
    const int64_t heads_per_kv = config_.heads / shape.kv_heads;
    const int64_t window = shape.attention == AttentionType::kFull ? tokens_ : config_.sliding_window;
    Matrix mixed(tokens_, queries.columns);
    for (int64_t t = 0; t < tokens_; ++t) {
      const int64_t first = std::max<int64_t>(0, t - window + 1);
      for (int64_t h = 0; h < config_.heads; ++h) {
        attend(queries.row(t) + h * C, cache, h / heads_per_kv, first, t, mixed.row(t) + h * C, C);
      }
    }
    return mixed;
  }

  /// One head at one position: query [C] -> out [C], the average of the values of key-value head `kv_head` at the
  /// positions first..last, weighted by the softmax of query . key. Note: the scores are not scaled by 1 / sqrt(C).
  static void attend(const float* query, const KeysValues& cache, int64_t kv_head, int64_t first, int64_t last,
                     float* out, int64_t C) {
    std::vector<double> weights;  // [last - first + 1]
    for (int64_t j = first; j <= last; ++j) weights.push_back(dot(query, cache.keys.row(j) + kv_head * C, C));
    softmax(weights);
    for (int64_t c = 0; c < C; ++c) {
      double sum = 0;
      for (int64_t j = first; j <= last; ++j) sum += weights[j - first] * cache.values.row(j)[kv_head * C + c];
      out[c] = static_cast<float>(sum);
    }
  }

  static void softmax(std::vector<double>& scores) {
    const double largest = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double& score : scores) {
      score = std::exp(score - largest);
      sum += score;
    }
    for (double& score : scores) score /= sum;
  }

  /// x [T, D] -> [T, D]
  Matrix feed_forward(int64_t layer, const Matrix& x) const {
    const Matrix h = norm(x, weight(layer, "pre_feedforward_layernorm.weight"), config_.rms_epsilon);          // [T, D]
    const Matrix inner = gelu_multiply(project(h, layer, "mlp.gate_proj"), project(h, layer, "mlp.up_proj"));  // [T, F]
    Matrix out = project(inner, layer, "mlp.down_proj");                                                       // [T, D]
    if (config_.experts > 0) {
      out = norm(std::move(out), weight(layer, "post_feedforward_layernorm_1.weight"), config_.rms_epsilon);
      add(out, mixture_of_experts(layer, x));
    }
    return norm(std::move(out), weight(layer, "post_feedforward_layernorm.weight"), config_.rms_epsilon);
  }

  /// h [T, D], gate and up [F, D], down [D, F] -> [T, D]
  static Matrix gated(const Matrix& h, const Matrix& gate, const Matrix& up, const Matrix& down) {
    return linear(gelu_multiply(linear(h, gate), linear(h, up)), down);
  }

  /// x [T, D] -> [T, D]: the sum of what the chosen experts of each token give.
  /// Note: the router and the experts read x, not what the dense branch makes of it, each through a norm of its own.
  Matrix mixture_of_experts(int64_t layer, const Matrix& x) const {
    const Matrix shares = route(layer, x);                                                               // [T, E]
    const Matrix h = norm(x, weight(layer, "pre_feedforward_layernorm_2.weight"), config_.rms_epsilon);  // [T, D]
    Matrix sum(tokens_, config_.hidden);
    for (int64_t e = 0; e < config_.experts; ++e) {
      const Matrix out = expert(layer, e, h);  // [T, D]
      for (int64_t t = 0; t < tokens_; ++t) {
        for (int64_t d = 0; d < config_.hidden; ++d) sum.row(t)[d] += shares.row(t)[e] * out.row(t)[d];
      }
    }
    return norm(std::move(sum), weight(layer, "post_feedforward_layernorm_2.weight"), config_.rms_epsilon);
  }

  /// x [T, D] -> [T, E]: what each expert counts for each token, 0 for those that were not chosen.
  Matrix route(int64_t layer, const Matrix& x) const {
    Matrix h = norm(x, weight(layer, "router.scale"), config_.rms_epsilon);  // [T, D]
    scale(h, 1 / std::sqrt(static_cast<double>(config_.hidden)));
    const Matrix scores = linear(h, weight(layer, "router.proj.weight"));  // [T, E]
    const Matrix scales = weight(layer, "router.per_expert_scale");        // [E]
    Matrix shares(tokens_, config_.experts);
    for (int64_t t = 0; t < tokens_; ++t) {
      std::vector<double> probabilities(scores.row(t), scores.row(t) + config_.experts);
      softmax(probabilities);
      const std::vector<int64_t> chosen = most_probable(probabilities, config_.experts_used);
      double sum = 0;
      for (const int64_t e : chosen) sum += probabilities[e];
      // Note: the experts' own scales come after the shares have been made to add up to 1.
      for (const int64_t e : chosen) shares.row(t)[e] = static_cast<float>(probabilities[e] / sum * scales.values[e]);
    }
    return shares;
  }

  /// The places of the `count` largest values; of equal ones the first.
  static std::vector<int64_t> most_probable(const std::vector<double>& probabilities, int64_t count) {
    std::vector<int64_t> places(probabilities.size());
    std::iota(places.begin(), places.end(), 0);
    std::stable_sort(places.begin(), places.end(),
                     [&](int64_t a, int64_t b) { return probabilities[a] > probabilities[b]; });
    places.resize(static_cast<size_t>(count));
    return places;
  }

  /// h [T, D] -> [T, D]. The projections gate and up of an expert lie one after the other in one tensor, or in two.
  Matrix expert(int64_t layer, int64_t index, const Matrix& h) const {
    const int64_t F = config_.expert_width;
    const Matrix down = rows_of(layer, "experts.down_proj", index * config_.hidden, config_.hidden);
    if (!checkpoint_.find(layer_name(layer, "experts.gate_up_proj"))) {
      return gated(h, rows_of(layer, "experts.gate_proj", index * F, F),
                   rows_of(layer, "experts.up_proj", index * F, F), down);
    }
    return gated(h, rows_of(layer, "experts.gate_up_proj", 2 * index * F, F),
                 rows_of(layer, "experts.gate_up_proj", (2 * index + 1) * F, F), down);
  }

  /// x [T, D], per_layer [T, L * P] -> [T, D]. Note: unlike the other two branches it reads x without a norm.
  Matrix per_layer_embedding(int64_t layer, const Matrix& x, const Matrix& per_layer) const {
    const int64_t P = config_.per_layer_width;
    Matrix gate = project(x, layer, "per_layer_input_gate");  // [T, P]
    for (int64_t t = 0; t < tokens_; ++t) {
      for (int64_t p = 0; p < P; ++p) gate.row(t)[p] = gelu(gate.row(t)[p]) * per_layer.row(t)[layer * P + p];
    }
    const Matrix out = project(gate, layer, "per_layer_projection");  // [T, D]
    return norm(out, weight(layer, "post_per_layer_input_norm.weight"), config_.rms_epsilon);
  }

  double layer_scalar(int64_t layer) const {
    const std::string name = layer_name(layer, "layer_scalar");
    return checkpoint_.find(name) ? weight(name).values[0] : 1.0;  // some checkpoints leave it out
  }

  /// y [T, D] -> logits [T, V]. The head is the embedding table itself, here without the factor sqrt(D).
  std::vector<float> head(const Matrix& y) const {
    Matrix logits = project(y, "lm_head", tensor("model.embed_tokens.weight"));  // [T, V]
    for (float& logit : logits.values) logit = soft_cap(logit);
    return std::move(logits.values);
  }

  /// Keeps a logit within (-softcap, softcap).
  float soft_cap(double logit) const {
    if (config_.softcap == 0) return static_cast<float>(logit);
    return static_cast<float>(config_.softcap * std::tanh(logit / config_.softcap));
  }

  // ------------------------------------------------------------------------------------------- the linear layers

  /// x [T, in] -> [T, out] by the linear layer `module`. Note: where the file has static scales for the layer, its
  /// input and its output are rounded to 8 bits; with weights that are integers, each row with one scale, it sums
  /// integers.
  Matrix project(Matrix x, const std::string& module, const TensorView& stored) const {
    const float input_scale = static_scale(module + ".input_activation_scale");
    const bool in_integers = input_scale > 0 && is_code_type(stored.dtype) && stored.scales.groups == 1;
    if (!in_integers) round_static(x, input_scale);
    Matrix y = in_integers ? integer_linear(x, input_scale, stored) : linear(x, decoded(stored));
    round_static(y, static_scale(module + ".output_activation_scale"));
    return y;
  }

  Matrix project(const Matrix& x, const std::string& module) const {
    return project(x, module, tensor(module + ".weight"));
  }

  Matrix project(const Matrix& x, int64_t layer, const char* module) const {
    return project(x, layer_name(layer, module));
  }

  /// 0 where the file has no such scale.
  float static_scale(const std::string& name) const { return checkpoint_.find(name) ? weight(name).values[0] : 0.0f; }

  // ------------------------------------------------------------------------------------------------- the weights

  const TensorView& tensor(const std::string& name) const {
    const TensorView* view = checkpoint_.find(name);
    CARAT_CHECK(view != nullptr, name.c_str());
    return *view;
  }

  static Matrix decoded(const TensorView& view) {
    Matrix matrix(view.rows(), view.columns());
    matrix.values = decode_tensor(view);
    return matrix;
  }

  /// A whole weight [out, in], or a vector as [1, n].
  Matrix weight(const std::string& name) const { return decoded(tensor(name)); }

  /// The rows [first, first + count) of a stack of matrices.
  Matrix rows_of(int64_t layer, const char* name, int64_t first, int64_t count) const {
    const TensorView& stack = tensor(layer_name(layer, name));
    Matrix matrix(count, stack.columns());
    for (int64_t i = 0; i < count; ++i) {
      decode_row(stack, first + i, std::span(matrix.row(i), static_cast<size_t>(matrix.columns)));
    }
    return matrix;
  }

  Matrix weight(int64_t layer, const char* name) const { return weight(layer_name(layer, name)); }

  static std::string layer_name(int64_t layer, const char* name) {
    return "model.layers." + std::to_string(layer) + "." + name;
  }

  /// The rows of a table [V, width] that the ids name: [T, width].
  Matrix gather(const char* name, int64_t width) const {
    Matrix rows(tokens_, width);
    for (int64_t t = 0; t < tokens_; ++t) {
      decode_row(tensor(name), ids_[t], std::span(rows.row(t), static_cast<size_t>(width)));
    }
    return rows;
  }

  const Checkpoint& checkpoint_;
  const ModelConfig& config_;
  const std::span<const int32_t> ids_;
  const int64_t tokens_;
  const bool static_cache_;
};

}  // namespace

std::vector<float> reference_logits(const Checkpoint& checkpoint, std::span<const int32_t> ids, bool static_cache) {
  CARAT_CHECK(!ids.empty(), "at least one token");
  for (int32_t id : ids) CARAT_CHECK(id >= 0 && id < checkpoint.config().vocabulary, "a token of this vocabulary");
  return Gemma4(checkpoint, ids, static_cache).logits();
}

}  // namespace carat
