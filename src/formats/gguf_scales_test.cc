#include "formats/gguf_scales.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <memory>

#include "tests/support/tiny_model.h"

namespace carat {
namespace {

/// The tensors of a GGUF file and its entries, so that each can be wrong.
class Scales : public testing::Test {
 protected:
  void add(std::string name, std::vector<float> values, Shape shape, DType dtype = DType::kF32) {
    stored_.push_back(std::make_unique<std::vector<float>>(std::move(values)));
    const Bytes data = std::as_bytes(std::span(*stored_.back()));
    tensors_.push_back({std::move(name), {dtype, std::move(shape), data}});
  }

  void add_weight(DType dtype, Shape shape) { tensors_.push_back({"blk.0.attn_q.weight", {dtype, shape, {}}}); }

  Result<std::vector<NamedTensor>> read(const char* version = "1") const {
    std::vector<GgufEntry> entries;
    if (version != nullptr) entries.push_back({"carat.static_scales", {GgufType::kString, std::string_view(version)}});
    return scales_from_gguf(GgufFields(entries, "a.gguf"), tensors_);
  }

  void expect_refused(const std::string& message, const char* version = "1") const {
    const auto scales = read(version);
    ASSERT_FALSE(scales.ok()) << message;
    EXPECT_EQ(scales.error().kind, ErrorKind::kRefused);
    EXPECT_TRUE(scales.error().message.starts_with("a.gguf: ")) << scales.error().message;
    EXPECT_NE(scales.error().message.find(message), std::string::npos) << scales.error().message;
  }

  std::vector<NamedTensor> tensors_;

 private:
  std::vector<std::unique_ptr<std::vector<float>>> stored_;
};

TEST_F(Scales, HaveTheirNamesInsideCarat) {
  add_weight(DType::kQ4_0, {2, 64});
  add("blk.0.attn_q.input_scale", {0.5f}, {1});
  add("blk.0.attn_q.output_scale", {0.0f}, {1});
  add("blk.0.attn_k_cache.scale", {0.25f}, {});
  add("blk.0.attn_q.row_scale", {1, 2, 3, 4}, {2, 2});
  const std::vector<NamedTensor> scales = read().value();
  ASSERT_EQ(scales.size(), 3u);
  EXPECT_EQ(scales[0].name, "model.layers.0.self_attn.q_proj.input_activation_scale");
  EXPECT_EQ(scales[0].view.shape, Shape{});
  EXPECT_EQ(decode_tensor(scales[0].view), std::vector<float>{0.5f});
  EXPECT_EQ(scales[1].name, "model.layers.0.self_attn.k_cache_scale");
  EXPECT_EQ(scales[2].name, "model.layers.0.self_attn.q_proj.weight_scale");
  EXPECT_EQ(scales[2].view.shape, (Shape{2, 2}));
}

TEST_F(Scales, NeedTheEntryOfTheirVersion) {
  EXPECT_TRUE(read(nullptr).ok());
  EXPECT_TRUE(read("2").ok());
  add("blk.0.attn_q.input_scale", {0.5f}, {1});
  expect_refused("blk.0.attn_q.input_scale: is a scale beside the weights", nullptr);
  expect_refused("carat.static_scales: expected version \"1\", found \"2\"", "2");
}

TEST_F(Scales, StaticOnesArePositiveNumbers) {
  for (const float broken : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    tensors_.clear();
    add("blk.0.attn_v_cache.scale", {broken}, {1});
    expect_refused("blk.0.attn_v_cache.scale: expected a positive number");
  }
}

TEST_F(Scales, StaticOnesAreOneNumber) {
  add("blk.0.attn_q.input_scale", {0.5f, 0.5f}, {2});
  expect_refused("blk.0.attn_q.input_scale: expected a static scale, [1] F32, found [2] F32");
}

TEST_F(Scales, StaticOnesAreF32) {
  add("blk.0.attn_q.input_scale", {0.5f}, {1}, DType::kF16);
  expect_refused("blk.0.attn_q.input_scale: expected a static scale, [1] F32, found [1] F16");
}

TEST_F(Scales, OfRowsNeedTheirWeight) {
  add("blk.0.attn_q.row_scale", {1, 2}, {2, 1});
  expect_refused("blk.0.attn_q.row_scale: is there without the weight");
}

TEST_F(Scales, OfRowsFitTheBlocksOfTheirWeight) {
  struct Case {
    DType weight;
    Shape shape;
    Shape scales;
  };
  for (const auto& [weight, shape, scales] :
       {Case{DType::kQ4_0, {2, 64}, {3, 1}}, Case{DType::kQ4_0, {2, 64}, {2, 3}}, Case{DType::kQ4_0, {2, 64}, {2, 4}},
        Case{DType::kQ6_K, {2, 256}, {2, 1}}, Case{DType::kF32, {2, 64}, {2, 1}}, Case{DType::kQ8_0, {2, 64}, {2}}}) {
    const std::vector<float> values(static_cast<size_t>(*element_count(scales)), 1.0f);
    std::vector<NamedTensor> tensors = {
        {"blk.0.attn_q.weight", {weight, shape, {}}},
        {"blk.0.attn_q.row_scale", {DType::kF32, scales, std::as_bytes(std::span(values))}}};
    const std::vector<GgufEntry> entries = {{"carat.static_scales", {GgufType::kString, std::string_view("1")}}};
    const auto found = scales_from_gguf(GgufFields(entries, "a.gguf"), tensors);
    ASSERT_FALSE(found.ok()) << shape_text(scales);
    EXPECT_NE(found.error().message.find("blk.0.attn_q.row_scale: expected F32 scales for whole blocks"),
              std::string::npos)
        << found.error().message;
  }
}

}  // namespace
}  // namespace carat
