#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iostream>
#include <limits>

#include "formats/convert.h"
#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

const Kernels& best_kernels() { return *all_kernels().front(); }

Model load(const std::string& name, Ops& ops) {
  Result<Model> model = Model::load(golden_model(name).folder, ops);
  EXPECT_TRUE(model.ok()) << model.error().message;
  return std::move(model).value();
}

std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

/// Logits after every id, fed in pieces of `piece` ids.
std::vector<float> logits_in_pieces(Model& model, std::span<const int32_t> ids, int64_t piece, KvCache& cache) {
  std::vector<float> all;
  while (!ids.empty()) {
    const size_t count = std::min(ids.size(), static_cast<size_t>(std::min(piece, model.logit_rows())));
    EXPECT_TRUE(cache.reserve(cache.size() + static_cast<int64_t>(count)).ok());
    const std::span<const float> logits = model.all_logits(ids.first(count), cache).value();
    all.insert(all.end(), logits.begin(), logits.end());
    ids = ids.subspan(count);
  }
  return all;
}

std::vector<float> logits_in_pieces(Model& model, std::span<const int32_t> ids, int64_t piece) {
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()));
  return logits_in_pieces(model, ids, piece, cache);
}

std::vector<float> last_logits(Model& model, std::span<const int32_t> ids) {
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()));
  EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  return copy(model.last_logits(ids, cache).value());
}

std::vector<int32_t> some_ids(const Model& model, size_t count, uint32_t seed) {
  return random_ids(model.config().vocabulary, model.vocabulary().bos, count, seed);
}

class TinyModel : public ::testing::TestWithParam<const char*> {
 protected:
  Ops ops_{best_kernels(), 2};
  Model model_ = load(GetParam(), ops_);
};

TEST_P(TinyModel, MatchesTransformers) {
  for (const GoldenPrompt& prompt : golden_model(GetParam()).prompts) {
    const double difference = largest_difference(logits_in_pieces(model_, prompt.ids, kChunkTokens), prompt.logits);
    EXPECT_LT(difference, 1e-3) << prompt.ids.size() << " ids";
    std::cout << GetParam() << ": " << prompt.ids.size() << " ids, largest difference " << difference << "\n";
  }
}

TEST_P(TinyModel, FeedingInPiecesChangesNoBit) {
  const int64_t W = model_.config().sliding_window;
  const std::vector<int32_t> ids = some_ids(model_, 2 * kChunkTokens + 60, 1);
  const std::vector<float> whole = logits_in_pieces(model_, ids, kChunkTokens);
  for (const int64_t piece : {int64_t{1}, W - 1, W, W + 1, kChunkTokens - 1}) {
    EXPECT_EQ(logits_in_pieces(model_, ids, piece), whole) << "in pieces of " << piece;
  }
}

TEST_P(TinyModel, SkippingLayersOfEarlierPositionsChangesNoBit) {
  const auto V = static_cast<size_t>(model_.config().vocabulary);
  for (const size_t count : {size_t{1}, size_t{2}, size_t{37}, size_t{128}, size_t{129}, size_t{300}}) {
    const std::vector<int32_t> ids = some_ids(model_, count, 2);
    const std::vector<float> all = logits_in_pieces(model_, ids, kChunkTokens);
    EXPECT_EQ(last_logits(model_, ids), copy(std::span(all).last(V))) << count << " ids";
  }
}

TEST_P(TinyModel, DecodingAfterPrefillChangesNoBit) {
  const auto V = static_cast<size_t>(model_.config().vocabulary);
  const std::vector<int32_t> ids = some_ids(model_, 300, 3);
  const std::vector<float> all = logits_in_pieces(model_, ids, kChunkTokens);
  KvCache cache(model_.config(), 300);
  ASSERT_TRUE(cache.reserve(300).ok());
  model_.last_logits(std::span(ids).first(250), cache).value();
  for (size_t position = 250; position < ids.size(); ++position) {
    const std::vector<float> logits = copy(model_.last_logits(std::span(ids).subspan(position, 1), cache).value());
    ASSERT_EQ(logits, copy(std::span(all).subspan(position * V, V))) << "position " << position;
  }
}

TEST_P(TinyModel, ThreadsChangeNoBit) {
  const std::vector<int32_t> ids = some_ids(model_, 150, 4);
  const std::vector<float> two_threads = logits_in_pieces(model_, ids, kChunkTokens);
  for (const int threads : {1, 3}) {
    Ops ops(best_kernels(), threads);
    Model model = load(GetParam(), ops);
    EXPECT_EQ(logits_in_pieces(model, ids, kChunkTokens), two_threads) << threads << " threads";
  }
}

TEST_P(TinyModel, KernelTablesAgree) {
  const std::vector<int32_t> ids = some_ids(model_, 150, 5);
  const std::vector<float> best = logits_in_pieces(model_, ids, kChunkTokens);
  for (const Kernels* kernels : all_kernels()) {
    Ops ops(*kernels, 1);
    Model model = load(GetParam(), ops);
    EXPECT_LT(largest_difference(logits_in_pieces(model, ids, kChunkTokens), best), 1e-4) << kernels->name;
  }
}

TEST_P(TinyModel, ClearedCacheIsAsGoodAsNew) {
  const std::vector<int32_t> ids = some_ids(model_, 200, 6);
  const std::vector<int32_t> others = some_ids(model_, 170, 7);
  KvCache cache(model_.config(), 200);
  logits_in_pieces(model_, others, kChunkTokens, cache);
  cache.clear();
  EXPECT_EQ(logits_in_pieces(model_, ids, kChunkTokens, cache), logits_in_pieces(model_, ids, kChunkTokens));
}

INSTANTIATE_TEST_SUITE_P(All, TinyModel, ::testing::ValuesIn(kGoldenModels),
                         [](const auto& test) { return std::string(test.param); });

TEST(ModelTest, LayerScalarScalesTheWholeStream) {
  Ops ops(best_kernels(), 1);
  Model model = load("e2b_bf16", ops);
  const std::vector<int32_t> ids = some_ids(model, 20, 8);
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "layer-scalar";
  // Halving the whole stream in the last layer leaves what the final norm makes of it as it is.
  const std::string last = "model.layers." + std::to_string(model.config().layer_count() - 1) + ".layer_scalar";
  const Status written =
      write_edited(golden_model("e2b_bf16").folder, folder, [&](const std::string& name, auto& values) {
        if (name == last) values[0] *= 0.5f;
      });
  ASSERT_TRUE(written.ok()) << written.error().message;
  Result<Model> halved = Model::load(folder, ops);
  ASSERT_TRUE(halved.ok()) << halved.error().message;
  EXPECT_LT(largest_difference(logits_in_pieces(*halved, ids, 20), logits_in_pieces(model, ids, 20)), 1e-4);
}

TEST(ModelTest, MultipliesByTheWeightsThatTheFileHolds) {
  Ops ops(best_kernels(), 1);
  const Checkpoint source = Checkpoint::open(golden_model("e2b_bf16").folder).value();
  const Scheme& q4_0 = *built_in_scheme("q4_0");
  const auto keep_going = [](uint64_t, uint64_t) { return true; };
  const std::filesystem::path packed = std::filesystem::path(::testing::TempDir()) / "packed.gguf";
  const std::filesystem::path decoded = std::filesystem::path(::testing::TempDir()) / "decoded";
  ASSERT_TRUE(convert_checkpoint(source, packed, {.scheme = &q4_0}, keep_going).ok());
  ASSERT_TRUE(write_edited(packed, decoded, [](const std::string&, auto&) {}).ok());
  Model blocks = Model::load(packed, ops).value();
  Model floats = Model::load(decoded, ops).value();
  EXPECT_EQ(blocks.checkpoint().find("model.layers.0.mlp.up_proj.weight")->dtype, DType::kQ4_0);
  const std::vector<int32_t> ids = some_ids(blocks, 150, 9);
  EXPECT_LT(largest_difference(logits_in_pieces(blocks, ids, 128), logits_in_pieces(floats, ids, 128)), 1e-4);
}

TEST(ModelTest, RefusesIdsOutsideTheVocabulary) {
  Ops ops(best_kernels(), 1);
  const Model model = load("31b_f32", ops);
  const auto V = static_cast<int32_t>(model.config().vocabulary);
  EXPECT_TRUE(model.check_ids(std::vector<int32_t>{0, V - 1}).ok());
  EXPECT_EQ(model.check_ids(std::vector<int32_t>{0, -1}).error().kind, ErrorKind::kUsage);
  EXPECT_NE(model.check_ids(std::vector<int32_t>{V}).error().message.find(std::to_string(V)), std::string::npos);
}

/// The golden model with one value of a tensor changed.
std::filesystem::path with_value(const char* golden, const std::string& tensor, size_t index, float value) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / ("edited-" + tensor);
  const Status written = write_edited(golden_model(golden).folder, folder, [&](const std::string& name, auto& values) {
    if (name == tensor) values[index] = value;
  });
  EXPECT_TRUE(written.ok()) << written.error().message;
  return folder;
}

struct FaultCase {
  const char* model;
  const char* tensor;
  size_t index;
  float value;
  std::vector<int32_t> ids;
  const char* place;
  int64_t position;
};

TEST(ModelTest, SaysWhereTheFirstValueThatIsNotFiniteArose) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const FaultCase cases[] = {
      {"e4b_f16", "model.layers.1.mlp.up_proj.weight", 3, kNan, {2, 5}, "layer 1", 0},
      {"e2b_bf16", "model.layers.6.self_attn.o_proj.weight", 0, -kInfinity, {2, 5}, "layer 6", 1},
      {"e2b_f32", "model.embed_tokens_per_layer.weight", 5 * 4 * 32, kInfinity, {2, 5}, "layer 0", 1},
      {"12b_f32", "model.layers.2.self_attn.k_proj.weight", 0, kInfinity, {2, 5}, "layer 2", 0},
      {"26b_bf16", "model.layers.2.router.proj.weight", 0, kNan, {2, 5}, "layer 2", 0},
      {"31b_f32", "model.embed_tokens.weight", 7 * 32, kNan, {2, 5, 7, 5}, "the embedding", 2},
  };
  Ops ops(best_kernels(), 1);
  for (const FaultCase& one : cases) {
    Result<Model> model = Model::load(with_value(one.model, one.tensor, one.index, one.value), ops);
    ASSERT_TRUE(model.ok()) << model.error().message;
    const Status status = model->check_finite(last_logits(*model, one.ids));
    ASSERT_FALSE(status.ok()) << one.tensor;
    EXPECT_EQ(status.error().kind, ErrorKind::kRefused);
    const std::string& message = status.error().message;
    const std::string origin =
        std::string(one.place) + " gave the first value that is not, at position " + std::to_string(one.position);
    EXPECT_NE(message.find(origin), std::string::npos) << message;
    EXPECT_NE(message.find(one.tensor), std::string::npos) << message;
  }
}

TEST(ModelTest, FiniteWeightsThatOverflowAreSaidToBeFinite) {
  Ops ops(best_kernels(), 1);
  const std::string scalar = "model.layers.1.layer_scalar";
  Model model = Model::load(with_value("31b_f32", scalar, 0, 3e38f), ops).value();
  const Status status = model.check_finite(last_logits(model, std::vector<int32_t>{2, 5}));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kFailed);
  EXPECT_NE(status.error().message.find("layer 1 gave"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("all weights are finite"), std::string::npos) << status.error().message;
}

TEST(ModelTest, AFaultIsForgottenWithTheNextCall) {
  Ops ops(best_kernels(), 1);
  const std::string table = "model.embed_tokens.weight";
  Model model = Model::load(with_value("31b_f32", table, 7 * 32, std::numeric_limits<float>::quiet_NaN()), ops).value();
  const Status first = model.check_finite(last_logits(model, std::vector<int32_t>{2, 7}));
  EXPECT_NE(first.error().message.find("the embedding gave"), std::string::npos) << first.error().message;
  const Status second = model.check_finite(last_logits(model, std::vector<int32_t>{2, 5}));
  EXPECT_NE(second.error().message.find("the head made them"), std::string::npos) << second.error().message;
}

TEST(ModelTest, FiniteLogitsPass) {
  Ops ops(best_kernels(), 1);
  Model model = load("31b_f32", ops);
  EXPECT_TRUE(model.check_finite(last_logits(model, std::vector<int32_t>{2, 5})).ok());
}

}  // namespace
}  // namespace carat
