#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <map>

#include "base/random.h"
#include "kernels/select.h"
#include "lattice/codes.h"
#include "model/model.h"
#include "reference/gemma4.h"
#include "tensor/float_formats.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"
#include "tests/support/random_blocks.h"
#include "tests/support/tiny_model.h"

// Models of random shapes, each tensor of a random type, against the reference; prompts are three windows long. Then
// the same in the mobile format: codes of random widths, random scales, quantizers at random places, keys and values of
// 8 bits.

namespace carat {
namespace {

constexpr uint32_t kModels = 150;
constexpr double kTolerance = 2e-5;
// Some of these models are ill-conditioned. What other last bits of the weights change is a sample of what rounding
// does.
constexpr double kRoundingFactor = 30;

template <typename T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return *(choices.begin() + random.below(static_cast<uint32_t>(choices.size())));
}

bool coin(Random& random) { return random.below(2) == 0; }

/// 1 to `most`.
int64_t up_to(Random& random, int64_t most) { return 1 + random.below(static_cast<uint32_t>(most)); }

int64_t divisor_of(Random& random, int64_t number) {
  int64_t divisor = up_to(random, number);
  while (number % divisor != 0) --divisor;
  return divisor;
}

void draw_layers(Random& random, ModelConfig& config) {
  LayerConfig sliding = {.attention = AttentionType::kSliding}, full = {.attention = AttentionType::kFull};
  for (LayerConfig* layer : {&sliding, &full}) {
    layer->kv_heads = divisor_of(random, config.heads);
    layer->head_width = one_of<int64_t>(random, {2, 6, 16, 32, 64});
  }
  full.value_is_key = coin(random);
  const int64_t width = one_of<int64_t>(random, {20, 32, 64, 256});
  const int64_t count = up_to(random, 8);
  for (int64_t l = 0; l < count; ++l) {
    LayerConfig& layer = config.layers.emplace_back(coin(random) ? sliding : full);
    layer.ffn_width = coin(random) ? width : 2 * width;
  }
  int64_t shared = random.below(static_cast<uint32_t>(count));
  while (!assign_kv_layers(config, shared).ok()) --shared;
}

ModelConfig draw_config(Random& random, int64_t vocabulary) {
  ModelConfig config;
  config.vocabulary = vocabulary;
  config.hidden = one_of<int64_t>(random, {24, 32, 64, 64, 256});
  config.heads = up_to(random, 6);
  config.per_layer_width = one_of<int64_t>(random, {0, 12, 32});
  config.sliding_window = up_to(random, 9);
  config.context = 64;
  config.softcap = one_of(random, {0.0f, 5.0f, 30.0f});
  config.rope_theta_sliding = one_of(random, {1e2f, 1e4f});
  config.rope_theta_full = one_of(random, {1e3f, 1e6f});
  config.full_rotary_fraction = one_of(random, {0.25f, 0.5f, 1.0f});
  config.rms_epsilon = one_of(random, {1e-6f, 1e-2f});
  if (coin(random)) {
    config.experts = up_to(random, 9);
    config.experts_used = up_to(random, config.experts);
    config.expert_width = one_of<int64_t>(random, {12, 32, 64});
  }
  draw_layers(random, config);
  return config;
}

void set_scales(DType dtype, std::vector<std::byte>& bytes, float scale) {
  const uint16_t bits = f16_from_float(scale);
  for (size_t block = 0; block < bytes.size(); block += static_cast<size_t>(block_bytes(dtype))) {
    for (const size_t offset : f16_offsets(dtype)) std::memcpy(&bytes[block + offset], &bits, sizeof(bits));
  }
}

/// Blocks with any codes, scaled to a variance of 1 / columns.
std::vector<std::byte> draw_blocks(Random& random, const TensorSpec& spec) {
  const int64_t elements = *element_count(spec.shape);
  std::vector<std::byte> bytes = random_blocks(spec.dtype, elements, random);
  set_scales(spec.dtype, bytes, 1.0f);
  double squares = 0;
  for (const float value : decode_tensor({spec.dtype, {1, elements}, bytes}))
    squares += static_cast<double>(value) * value;
  const double wanted = static_cast<double>(elements) / static_cast<double>(spec.shape.back());
  set_scales(spec.dtype, bytes, static_cast<float>(std::sqrt(wanted / squares)));
  return bytes;
}

DType draw_type(Random& random, const TensorSpec& spec) {
  while (true) {
    const auto dtype = static_cast<DType>(random.below(kGgufDTypes));
    if (spec.shape.back() % block_elements(dtype) == 0) {
      return storable(Container::kGguf, dtype, spec.name, spec.shape);
    }
  }
}

/// Key norms keep the scores small: attention does not scale them, and large ones make rounding grow from layer to
/// layer.
std::vector<float> drawn_values(const TinyModel& model, const TensorSpec& spec) {
  std::vector<float> values = model.values(spec);
  if (!spec.name.ends_with("k_norm.weight")) return values;
  for (float& value : values) value *= 2.0f / std::sqrt(static_cast<float>(values.size()));
  return values;
}

/// A model of its own for each seed, in a file.
class RandomModelFile {
 public:
  explicit RandomModelFile(uint32_t seed) : random_(seed) {
    TinyModel model({}, seed);
    model.config = draw_config(random_, model.config.vocabulary);
    EXPECT_TRUE(validate(model.config).ok()) << validate(model.config).error().message;
    std::vector<TensorSpec> tensors = expected_tensors(model.config);
    for (TensorSpec& spec : tensors) spec.dtype = draw_type(random_, spec);
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
      if (!can_encode(spec.dtype)) return sink(draw_blocks(random_, spec));
      std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
      encode(spec.dtype, drawn_values(model, spec), stored);
      return sink(stored);
    };
    const Result<uint64_t> written = write_checkpoint(path(), model.config, model.vocabulary, tensors, produce);
    EXPECT_TRUE(written.ok()) << written.error().message;
  }

  std::filesystem::path path() const { return folder_ / "model.gguf"; }

  /// The same model, its weights with other last bits, as float32.
  Checkpoint with_other_last_bits() {
    const auto edit = [&](const std::string&, std::vector<float>& values) {
      for (float& value : values) value *= 1.0f + 6e-8f * random_.normal();
    };
    EXPECT_TRUE(write_edited(path(), folder_ / "other.gguf", edit).ok());
    return Checkpoint::open(folder_ / "other.gguf").value();
  }

  Random& random() { return random_; }

 private:
  TemporaryFolder folder_;
  Random random_;
};

/// The logits after every id, by a model with some number of threads and some batch, fed in pieces of any length.
std::vector<float> logits_in_random_pieces(const std::filesystem::path& path, Random& random, const Kernels& kernels,
                                           std::span<const int32_t> ids) {
  Ops ops(kernels, static_cast<int>(up_to(random, 3)));
  Model model = Model::load(path, ops, {.batch = up_to(random, static_cast<int64_t>(ids.size()))}).value();
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()), model.cache_options().value());
  EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  std::vector<float> all;
  while (!ids.empty()) {
    const int64_t most = std::min(static_cast<int64_t>(ids.size()), model.logit_rows());
    const auto count = static_cast<size_t>(up_to(random, most));
    const std::span<const float> logits = model.all_logits(ids.first(count), cache).value();
    all.insert(all.end(), logits.begin(), logits.end());
    ids = ids.subspan(count);
  }
  return all;
}

std::string described(const ModelConfig& config) {
  std::string text;
  for (const LayerConfig& layer : config.layers) text += layer.attention == AttentionType::kFull ? 'F' : 'S';
  return text + ", " + std::to_string(config.shared_kv_layers()) + " sharing, D " + std::to_string(config.hidden) +
         ", H " + std::to_string(config.heads) + ", P " + std::to_string(config.per_layer_width) + ", E " +
         std::to_string(config.experts_used) + "/" + std::to_string(config.experts) + ", W " +
         std::to_string(config.sliding_window) + ", softcap " + std::to_string(config.softcap);
}

TEST(RandomModelsTest, TheRuntimeGivesTheLogitsOfTheReference) {
  double largest = 0;
  for (uint32_t seed = 1; seed <= kModels; ++seed) {
    RandomModelFile file(seed);
    const Checkpoint checkpoint = Checkpoint::open(file.path()).value();
    const ModelConfig& config = checkpoint.config();
    SCOPED_TRACE("model " + std::to_string(seed) + ": " + described(config));
    const auto T = static_cast<size_t>(3 * config.sliding_window + 1);
    const std::vector<int32_t> ids = random_ids(config.vocabulary, checkpoint.vocabulary().bos, T, seed);
    const std::vector<float> expected = reference_logits(checkpoint, ids);
    const double rounding = largest_difference(reference_logits(file.with_other_last_bits(), ids), expected);
    for (const Kernels* kernels : all_kernels()) {
      const std::vector<float> logits = logits_in_random_pieces(file.path(), file.random(), *kernels, ids);
      const double difference = largest_difference(logits, expected);
      EXPECT_LT(difference, kTolerance + kRoundingFactor * rounding) << kernels->name;
      largest = std::max(largest, difference);
      EXPECT_EQ(logits_in_random_pieces(file.path(), file.random(), *kernels, ids), logits) << kernels->name;
    }
  }
  std::cout << kModels << " models, largest difference " << largest << "\n";
}

constexpr uint32_t kMobileModels = 60;
// Logits that are so near each other come from the same codes.
constexpr double kSameCodes = 1e-5;

/// Leaves of a shape what a folder's config.json can say and the mobile format has.
void make_mobile(Random& random, ModelConfig& config) {
  config.experts = config.experts_used = config.expert_width = 0;
  const auto full = [](const LayerConfig& layer) { return layer.attention == AttentionType::kFull; };
  const auto some_full = std::find_if(config.layers.begin(), config.layers.end(), full);
  if (some_full != config.layers.end()) config.layers.back() = *some_full;
  config.layers.back().attention = AttentionType::kFull;
  int64_t shared = config.shared_kv_layers();
  while (!assign_kv_layers(config, shared).ok()) --shared;
  const int64_t width = one_of<int64_t>(random, {20, 32, 64, 256}), shared_width = coin(random) ? width : 2 * width;
  for (size_t l = 0; l < config.layers.size(); ++l) {
    config.layers[l].value_is_key = false;
    config.layers[l].ffn_width = config.owns_kv(l) ? width : shared_width;
  }
}

/// A model in the mobile format for each seed, in a folder.
class RandomMobileModel {
 public:
  explicit RandomMobileModel(uint32_t seed) : random_(seed), model_({}, seed) {
    model_.config = draw_config(random_, model_.config.vocabulary);
    make_mobile(random_, model_.config);
    EXPECT_TRUE(validate(model_.config).ok());
    for (TensorSpec& spec : expected_tensors(model_.config)) draw_tensor(spec);
    for (TensorSpec& spec : static_scales(model_.config)) draw_static_scale(spec);
    write(folder_ / "model");
  }

  std::filesystem::path path() const { return folder_ / "model"; }
  Random& random() { return random_; }

  /// The same model, its vectors off by their last digit or two, as much as float32 sums are.
  Checkpoint with_other_last_digits() {
    for (const TensorSpec& spec : tensors_) {
      if (spec.shape.size() != 1) continue;
      std::vector<std::byte>& bytes = content_[spec.name];
      std::vector<float> values(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), bytes.size());
      for (float& value : values) value *= 1.0f + 1.5e-7f * random_.normal();
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
    write(folder_ / "other");
    return Checkpoint::open(folder_ / "other").value();
  }

 private:
  void keep(const TensorSpec& spec, const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    content_[spec.name].assign(bytes.begin(), bytes.end());
  }

  void draw_tensor(TensorSpec spec) {
    const bool table = spec.name.starts_with("model.embed_tokens");
    const bool floats = spec.shape.size() < 2 || (!table && random_.below(6) == 0);
    if (floats) {
      keep(spec, drawn_values(model_, spec));
    } else {
      draw_codes(spec);
    }
    tensors_.push_back(spec);
  }

  void draw_codes(TensorSpec& spec) {
    const bool per_layer = spec.name == "model.embed_tokens_per_layer.weight";
    spec.scale_groups = per_layer ? model_.config.layer_count() : 1;
    do {
      spec.dtype = one_of(random_, {DType::kI8, DType::kI4, DType::kI2});
    } while (spec.shape.back() / spec.scale_groups % block_elements(spec.dtype) != 0);
    const int bits = code_bits(spec.dtype);
    const float spread = bits == 8 ? 40.0f : bits == 4 ? 3.0f : 1.0f;
    const auto columns = static_cast<float>(spec.shape.back() / spec.scale_groups);
    content_[spec.name].resize(*tensor_bytes(spec.dtype, spec.shape));
    std::vector<float> drawn(static_cast<size_t>(*element_count(spec.shape)));
    for (float& value : drawn) value = spread * random_.normal();
    encode_codes(spec.dtype, drawn, 1.0f, content_[spec.name]);
    std::vector<float> scales(static_cast<size_t>(spec.shape[0] * spec.scale_groups));
    for (float& scale : scales) scale = (0.7f + 0.6f * random_.uniform()) / (spread * std::sqrt(columns));
    keep(scales_of(spec), scales);
  }

  /// A quantizer of some linear layers with codes, and of all keys and values. Its range is a few times what comes in.
  void draw_static_scale(const TensorSpec& spec) {
    const std::string module = spec.name.substr(0, spec.name.rfind('.'));
    const bool cache = spec.name.ends_with("cache_scale");
    const auto codes = content_.find(module + ".weight_scale");
    if (!cache && (codes == content_.end() || random_.below(5) == 0)) return;
    const float range = spec.name.ends_with("k_cache_scale") ? 2.0f : 5.0f;
    tensors_.push_back(spec);
    keep(spec, {range * (0.6f + random_.uniform()) / 127.0f});
  }

  void write(const std::filesystem::path& folder) {
    const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) { return sink(content_.at(spec.name)); };
    const auto written = write_checkpoint(folder, model_.config, model_.vocabulary, tensors_, produce);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }

  TemporaryFolder folder_;
  Random random_;
  TinyModel model_;
  std::vector<TensorSpec> tensors_;
  std::map<std::string, std::vector<std::byte>> content_;  // by name; codes and their scales apart
};

/// How positions of one model differ from those of another.
struct Differences {
  int64_t positions = 0;
  int64_t other_codes = 0;
  double largest_with_same_codes = 0;
  double largest = 0;

  void add(std::span<const float> found, std::span<const float> expected, size_t V) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); i += V) {
      const double difference = largest_difference(found.subspan(i, V), expected.subspan(i, V));
      positions += 1;
      largest = std::max(largest, difference);
      if (difference < kSameCodes) {
        largest_with_same_codes = std::max(largest_with_same_codes, difference);
      } else {
        other_codes += 1;
      }
    }
  }
};

std::ostream& operator<<(std::ostream& out, const Differences& differences) {
  return out << differences.other_codes << " of " << differences.positions << " positions have other codes, largest "
             << "difference " << differences.largest << ", with the same codes " << differences.largest_with_same_codes;
}

// Another last digit makes another code wherever a value lies next to a half step, and the logits of that position move
// by something like a tenth. How many positions that happens to, and how far they move, is measured on the reference
// itself.
TEST(RandomMobileModelsTest, TheRuntimeIsAsNearToTheReferenceAsItsLastDigits) {
  Differences of_last_digits;
  std::map<std::string, Differences> of_runtime;
  for (uint32_t seed = 1; seed <= kMobileModels; ++seed) {
    RandomMobileModel file(seed);
    const Checkpoint checkpoint = Checkpoint::open(file.path()).value();
    const ModelConfig& config = checkpoint.config();
    SCOPED_TRACE("model " + std::to_string(seed) + ": " + described(config));
    const auto V = static_cast<size_t>(config.vocabulary);
    const auto T = static_cast<size_t>(3 * config.sliding_window + 1);
    const std::vector<int32_t> ids = random_ids(config.vocabulary, checkpoint.vocabulary().bos, T, seed);
    const std::vector<float> expected = reference_logits(checkpoint, ids);
    of_last_digits.add(reference_logits(file.with_other_last_digits(), ids), expected, V);
    for (const Kernels* kernels : all_kernels()) {
      const std::vector<float> logits = logits_in_random_pieces(file.path(), file.random(), *kernels, ids);
      of_runtime[kernels->name].add(logits, expected, V);
      EXPECT_EQ(logits_in_random_pieces(file.path(), file.random(), *kernels, ids), logits) << kernels->name;
    }
  }
  std::cout << "last digits of the reference: " << of_last_digits << "\n";
  EXPECT_LT(of_last_digits.other_codes, of_last_digits.positions / 5) << "most positions compare the arithmetic itself";
  for (const auto& [kernels, differences] : of_runtime) {
    std::cout << kernels << ": " << differences << "\n";
    EXPECT_LT(differences.other_codes, of_last_digits.other_codes) << kernels;
    EXPECT_LT(differences.largest, 2 * of_last_digits.largest) << kernels;
  }
}

}  // namespace
}  // namespace carat
