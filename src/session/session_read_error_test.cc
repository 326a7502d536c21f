#include <gtest/gtest.h>

#include <algorithm>

#include "kernels/select.h"
#include "session/session.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

// A file that becomes shorter while its model is in use: rows of the per-layer table are gone, all other tensors lie
// before it in these files and are still there.

namespace carat {
namespace {

constexpr std::string_view kTable = "model.embed_tokens_per_layer.weight";
constexpr int32_t kFirstGone = 150;

class SessionReadError : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<TensorSpec> tensors = expected_tensors(tiny_.config);
    std::ranges::stable_partition(tensors, [](const TensorSpec& spec) { return spec.name != kTable; });
    for (const auto& path : {path_, whole_path_}) {
      const auto written = write_checkpoint(path, tiny_.config, tiny_.vocabulary, tensors,
                                            [&](const TensorSpec& spec, const ByteSink& sink) {
                                              return sink(std::as_bytes(std::span<const float>(tiny_.values(spec))));
                                            });
      ASSERT_TRUE(written.ok());
    }
  }

  void shorten_the_file() {
    const int64_t row = tiny_.config.layer_count() * tiny_.config.per_layer_width * 4;
    const int64_t gone = (tiny_.config.vocabulary - kFirstGone) * row;
    std::filesystem::resize_file(path_, std::filesystem::file_size(path_) - static_cast<uint64_t>(gone));
  }

  /// Ids whose rows stay.
  std::vector<int32_t> readable(size_t count, uint32_t seed) const {
    return random_ids(kFirstGone, tiny_.vocabulary.bos, count, seed);
  }

  void expect_names_the_row(const Error& error, int32_t id) const {
    EXPECT_EQ(error.kind, ErrorKind::kFailed);
    const std::string beginning =
        "the row of token " + std::to_string(id) + " in the per-layer table: " + path_.string() + ": ";
    EXPECT_TRUE(error.message.starts_with(beginning)) << error.message;
    EXPECT_NE(error.message.find("the file ends after 0 of them"), std::string::npos) << error.message;
  }

  /// What a session on the whole file answers after `ids`.
  int32_t expected_next(const std::vector<int32_t>& ids) {
    Model model = Model::load(whole_path_, ops_).value();
    Session session = Session::create(model, {}).value();
    EXPECT_TRUE(session.prefill(ids).ok());
    return session.next().value();
  }

  TemporaryFolder folder_;
  std::filesystem::path path_ = folder_ / "model.gguf";
  std::filesystem::path whole_path_ = folder_ / "whole.gguf";
  TinyModel tiny_{{.context = 512}, 3};
  Ops ops_{*all_kernels().front(), 2};
};

TEST_F(SessionReadError, ThePromptIsNotAppendedAndTheSessionGoesOn) {
  Model model = Model::load(path_, ops_).value();
  Session session = Session::create(model, {}).value();
  std::vector<int32_t> ids = readable(20, 1);
  ASSERT_TRUE(session.prefill(ids).ok());
  shorten_the_file();

  // The first batch of the prompt can be read, the third one cannot.
  std::vector<int32_t> prompt = readable(2 * kChunkTokens + 40, 2);
  prompt.push_back(kFirstGone + 50);
  prompt.push_back(kFirstGone);
  const Status fed = session.prefill(prompt);
  ASSERT_FALSE(fed.ok());
  expect_names_the_row(fed.error(), kFirstGone);
  EXPECT_TRUE(std::ranges::equal(session.tokens(), ids));

  const std::vector<int32_t> further = readable(10, 4);
  ASSERT_TRUE(session.prefill(further).ok());
  ids.insert(ids.end(), further.begin(), further.end());
  EXPECT_TRUE(std::ranges::equal(session.tokens(), ids));
  EXPECT_EQ(session.next().value(), expected_next(ids));
}

TEST_F(SessionReadError, AnIdThatWasPickedAndCannotBeFedIsDropped) {
  Model model = Model::load(path_, ops_).value();
  const SamplingOptions always = {.logit_bias = {{.id = kFirstGone + 1, .value = 1000.0f}}};
  Session session = Session::create(model, {.sampling = always}).value();
  const std::vector<int32_t> ids = readable(30, 5);
  ASSERT_TRUE(session.prefill(ids).ok());
  shorten_the_file();
  ASSERT_EQ(session.next().value(), kFirstGone + 1);
  const Result<int32_t> next = session.next();
  ASSERT_FALSE(next.ok());
  expect_names_the_row(next.error(), kFirstGone + 1);
  EXPECT_TRUE(std::ranges::equal(session.tokens(), ids));
  EXPECT_TRUE(session.prefill(readable(3, 6)).ok());
  EXPECT_EQ(session.position(), 33);
}

TEST_F(SessionReadError, TheCacheHoldsThePositionsBeforeTheBatch) {
  Model model = Model::load(path_, ops_).value();
  shorten_the_file();
  std::vector<int32_t> ids = readable(2 * kChunkTokens + 3, 7);
  ids.back() = kFirstGone;
  KvCache cache(model.config(), 512, {.batch = model.batch()});
  ASSERT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  const auto logits = model.last_logits(ids, cache);
  ASSERT_FALSE(logits.ok());
  expect_names_the_row(logits.error(), kFirstGone);
  EXPECT_EQ(cache.size(), 2 * kChunkTokens);
}

}  // namespace
}  // namespace carat
