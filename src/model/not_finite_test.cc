#include <gtest/gtest.h>

#include <limits>

#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"
#include "tests/support/random_blocks.h"
#include "tests/support/tiny_model.h"

// A value that is not finite, in any tensor, is reported with the place where it arose and the tensor that it came
// from.

namespace carat {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr int32_t kFed = 9;
constexpr int32_t kNeverFed = 11;

const TinyShape kShapes[] = {
    {.pattern = "SFSF", .shared = 2, .hidden = 32, .heads = 2, .kv_heads = 1, .ffn_width = 32},
    {.pattern = "SF", .shared = 0, .hidden = 32, .per_layer_width = 0, .value_is_key = true, .experts = 3},
};

bool is_table(const std::string& name) { return name.starts_with("model.embed_tokens"); }

/// One value in each matrix of a tensor, in a table that of the id `row`.
void damage(const TensorSpec& spec, int32_t row, float damaged, std::vector<float>& values) {
  if (is_table(spec.name)) {
    values[static_cast<size_t>(row * spec.shape.back())] = damaged;
    return;
  }
  const size_t matrices = spec.shape.size() == 3 ? static_cast<size_t>(spec.shape[0]) : 1;
  for (size_t i = 0; i < matrices; ++i) values[i * (values.size() / matrices)] = damaged;
}

/// What the message says of the place where the damage of a matrix is first seen.
std::string place_of(const std::string& name) {
  constexpr std::string_view kLayers = "model.layers.";
  if (name == "model.embed_tokens.weight") return "the embedding gave";
  if (!name.starts_with(kLayers)) return "layer 0 gave";
  const std::string rest = name.substr(kLayers.size());
  return "layer " + rest.substr(0, rest.find('.')) + " gave";
}

class NotFiniteTest : public testing::TestWithParam<const Kernels*> {
 protected:
  /// The model at `source` with changed values, or why it is refused.
  Result<Model> edited(const std::filesystem::path& source, const TensorEdit& edit) {
    const Status written = write_edited(source, folder_ / "edited.gguf", edit);
    EXPECT_TRUE(written.ok()) << written.error().message;
    return Model::load(folder_ / "edited.gguf", ops_);
  }

  std::filesystem::path write(const TinyShape& shape) {
    EXPECT_TRUE(TinyModel(shape, 1).write(folder_ / "source.gguf", "f32").ok());
    return folder_ / "source.gguf";
  }

  static std::vector<float> logits(Model& model) {
    const std::vector<int32_t> ids = {2, 5, 100, 31, kFed, 7, 55, 130, 17, 4, 80, 12};
    KvCache cache(model.config(), static_cast<int64_t>(ids.size()));
    EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
    const std::span<const float> last = model.last_logits(ids, cache).value();
    return {last.begin(), last.end()};
  }

  static void expect_error(const Status& status, ErrorKind kind, std::initializer_list<std::string> words) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind, kind) << status.error().message;
    for (const std::string& word : words) {
      EXPECT_NE(status.error().message.find(word), std::string::npos) << word << ": " << status.error().message;
    }
  }

  TemporaryFolder folder_;
  Ops ops_{*GetParam(), 1};
};

INSTANTIATE_TEST_SUITE_P(Tables, NotFiniteTest, testing::ValuesIn(all_kernels()),
                         [](const auto& table) { return std::string(table.param->name); });

TEST_P(NotFiniteTest, EveryTensorIsNamed) {
  for (const TinyShape& shape : kShapes) {
    const std::filesystem::path source = write(shape);
    for (const TensorSpec& spec : expected_tensors(Checkpoint::open(source).value().config())) {
      for (const float value : {kNan, kInfinity, -kInfinity}) {
        SCOPED_TRACE(spec.name + " with " + std::to_string(value));
        const std::string name = name_in(Container::kGguf, spec.name);
        Result<Model> model = edited(source, [&](const std::string& tensor, std::vector<float>& values) {
          if (tensor == spec.name) damage(spec, kFed, value, values);
        });
        if (spec.shape.size() == 1) {
          ASSERT_FALSE(model.ok());
          EXPECT_NE(model.error().message.find(name), std::string::npos) << model.error().message;
          continue;
        }
        ASSERT_TRUE(model.ok()) << model.error().message;
        expect_error(model->check_finite(logits(*model)), ErrorKind::kRefused, {name, place_of(spec.name)});
      }
    }
  }
}

TEST_P(NotFiniteTest, TheRowOfAnIdThatIsNotFedDamagesTheHead) {
  const std::filesystem::path source = write(kShapes[0]);
  for (const float value : {kNan, kInfinity, -kInfinity}) {
    Model model = edited(source, [&](const std::string& name, std::vector<float>& values) {
                    if (name == "model.embed_tokens.weight") values[kNeverFed * 32] = value;
                  }).value();
    expect_error(model.check_finite(logits(model)), ErrorKind::kRefused, {"the head made", "token_embd.weight"});
  }
}

TEST_P(NotFiniteTest, EveryScaleOfABlockIsLookedAt) {
  TinyModel tiny({.pattern = "SF", .shared = 0, .hidden = 32, .ffn_width = 256, .per_layer_width = 0}, 1);
  const std::string damaged = "model.layers.1.mlp.down_proj.weight";
  for (const DType dtype : all_dtypes()) {
    for (const size_t offset : f16_offsets(dtype)) {
      for (const uint16_t bits : {uint16_t{0x7e00}, uint16_t{0x7c00}, uint16_t{0xfc00}}) {
        SCOPED_TRACE(std::string(dtype_name(dtype)) + ", byte " + std::to_string(offset));
        Random random(3);
        std::vector<TensorSpec> tensors = expected_tensors(tiny.config);
        for (TensorSpec& spec : tensors) {
          if (spec.name == damaged) spec.dtype = dtype;
        }
        const auto produce = [&](const TensorSpec& spec, const ByteSink& sink) {
          const std::vector<float> values = tiny.values(spec);
          if (spec.name != damaged) return sink(std::as_bytes(std::span(values)));
          std::vector<std::byte> blocks = random_blocks(dtype, *element_count(spec.shape), random);
          std::memcpy(&blocks[offset], &bits, sizeof(bits));
          return sink(blocks);
        };
        const std::filesystem::path path = folder_ / "blocks.gguf";
        ASSERT_TRUE(write_checkpoint(path, tiny.config, tiny.vocabulary, tensors, produce).ok());
        Model model = Model::load(path, ops_).value();
        expect_error(model.check_finite(logits(model)), ErrorKind::kRefused, {"blk.1.ffn_down.weight", "layer 1 gave"});
      }
    }
  }
}

TEST_P(NotFiniteTest, FiniteWeightsThatOverflowAreSaidToBeFinite) {
  const auto times = [](std::string ending, float factor) {
    return [ending, factor](const std::string& name, std::vector<float>& values) {
      if (!name.ends_with(ending)) return;
      for (float& value : values) value *= factor;
    };
  };
  const struct {
    const char* ending;
    float factor;
    const char* place;
  } cases[] = {
      {"layers.1.mlp.up_proj.weight", 2e38f, "layer 1 gave"},
      {"layers.0.self_attn.v_proj.weight", 2e38f, "layer 0 gave"},
      {"layers.2.layer_scalar", 2e38f, "layer 2 gave"},
      {"model.norm.weight", 2e38f, "the head made"},
  };
  const std::filesystem::path source = write(kShapes[0]);
  for (const auto& one : cases) {
    SCOPED_TRACE(one.ending);
    Model model = edited(source, times(one.ending, one.factor)).value();
    expect_error(model.check_finite(logits(model)), ErrorKind::kFailed, {one.place, "all weights are finite"});
  }
}

TEST_P(NotFiniteTest, SquaresThatWouldOverflowDoNot) {
  const std::filesystem::path source = write(kShapes[0]);
  Model whole = Model::load(source, ops_).value();
  Model large = edited(source, [](const std::string& name, std::vector<float>& values) {
                  if (name == "model.layers.3.layer_scalar") values[0] *= 1e30f;
                }).value();
  EXPECT_LT(largest_difference(logits(large), logits(whole)), 1e-4);
}

}  // namespace
}  // namespace carat
