#include "session/generate.h"

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "kernels/select.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

const std::vector<int32_t> kPrompt = {2, 7, 30, 41};

class GenerateTest : public ::testing::Test {
 protected:
  Generation run(const GenerationOptions& options, int64_t context = 0, const TokenCallback& on_token = keep_going) {
    Session session = Session::create(model_, {.context = context}).value();
    Result<Generation> generation = generate(session, kPrompt, options, on_token);
    EXPECT_TRUE(generation.ok()) << generation.error().message;
    return std::move(generation).value();
  }

  static bool keep_going(int32_t) { return true; }

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e4b_f16").folder, ops_).value();
};

TEST_F(GenerateTest, StopsAtTheLength) {
  std::vector<int32_t> seen;
  const Generation generation = run({.tokens = 7}, 0, [&](int32_t id) {
    seen.push_back(id);
    return true;
  });
  EXPECT_EQ(generation.stop_reason, StopReason::kLength);
  EXPECT_EQ(generation.tokens.size(), 7u);
  EXPECT_EQ(generation.tokens, seen);
  EXPECT_EQ(generation.prefill_tokens, 4);
  EXPECT_EQ(generation.decode_tokens, 6);
  EXPECT_GT(generation.prefill_tokens_per_s(), 0.0);
  EXPECT_GT(generation.decode_tokens_per_s(), 0.0);
}

TEST_F(GenerateTest, NoTokensMeansOnlyThePrompt) {
  const Generation generation = run({.tokens = 0});
  EXPECT_TRUE(generation.tokens.empty());
  EXPECT_EQ(generation.stop_reason, StopReason::kLength);
  EXPECT_EQ(generation.decode_tokens_per_s(), 0.0);
}

TEST_F(GenerateTest, StopsAtAStopIdAndKeepsIt) {
  const std::vector<int32_t> free = run({.tokens = 5}).tokens;
  const Generation generation = run({.tokens = 5, .stop = {-1, free[2]}});
  const auto first = std::find(free.begin(), free.end(), free[2]);
  EXPECT_EQ(generation.tokens, (std::vector<int32_t>(free.begin(), first + 1)));
  EXPECT_EQ(generation.stop_reason, StopReason::kStop);
}

TEST_F(GenerateTest, StopsWhenTheContextIsFull) {
  const Generation generation = run({.tokens = 100}, 6);
  EXPECT_EQ(generation.stop_reason, StopReason::kContext);
  EXPECT_EQ(generation.tokens.size(), 3u);
}

TEST_F(GenerateTest, StopsWhenTheCallbackSaysSo) {
  int left = 2;
  const Generation generation = run({.tokens = 100}, 0, [&](int32_t) { return --left > 0; });
  EXPECT_EQ(generation.stop_reason, StopReason::kInterrupted);
  EXPECT_EQ(generation.tokens.size(), 2u);
}

TEST_F(GenerateTest, StopsBetweenPartsOfThePrompt) {
  const std::vector<int32_t> prompt(static_cast<size_t>(3 * kChunkTokens), 7);
  Session session = Session::create(model_, {}).value();
  int looks = 0;
  const GenerationOptions options = {.tokens = 5, .interrupted = [&] { return ++looks > 1; }};
  const Generation generation = generate(session, prompt, options, keep_going).value();
  EXPECT_EQ(generation.stop_reason, StopReason::kInterrupted);
  EXPECT_EQ(generation.prefill_tokens, kChunkTokens);
  EXPECT_EQ(session.position(), kChunkTokens);
  EXPECT_TRUE(generation.tokens.empty());
}

TEST_F(GenerateTest, APromptInPartsIsTheSamePrompt) {
  const std::vector<int32_t> prompt(static_cast<size_t>(2 * kChunkTokens + 3), 7);
  std::vector<std::vector<int32_t>> answers;
  for (const bool parts : {false, true}) {
    Session session = Session::create(model_, {}).value();
    GenerationOptions options = {.tokens = 5};
    if (parts) options.interrupted = [] { return false; };
    const Generation generation = generate(session, prompt, options, keep_going).value();
    EXPECT_EQ(generation.prefill_tokens, static_cast<int64_t>(prompt.size()));
    answers.push_back(generation.tokens);
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST_F(GenerateTest, PassesOnTheErrorsOfTheSession) {
  Session session = Session::create(model_, {.context = 3}).value();
  EXPECT_FALSE(generate(session, kPrompt, {}, keep_going).ok());
}

class GenerateTextTest : public GenerateTest {
 protected:
  struct Written {
    Generation generation;
    std::string text;
  };

  /// Sampled hot, so that the tiny model writes many different pieces.
  Written write(const std::vector<std::string>& stop_strings, const GenerationOptions& options = {.tokens = 60}) {
    Session session = Session::create(model_, {.sampling = {.temperature = 2.0f, .seed = 3}}).value();
    std::string text;
    Result<Generation> generation = generate_text(
        session, tokenizer_, kPrompt, options, StopStrings::create(stop_strings).value(), [&](std::string_view part) {
          text += part;
          return true;
        });
    EXPECT_TRUE(generation.ok()) << generation.error().message;
    return {std::move(generation).value(), text};
  }

  Tokenizer tokenizer_ = Tokenizer::create(model_.vocabulary()).value();
};

TEST_F(GenerateTextTest, WritesTheTextOfTheIds) {
  const Written all = write({});
  EXPECT_EQ(all.generation.stop_reason, StopReason::kLength);
  EXPECT_EQ(all.text, tokenizer_.decode(all.generation.tokens));
  EXPECT_GT(all.text.size(), 60u);
}

TEST_F(GenerateTextTest, EndsInFrontOfAStopString) {
  const std::string all = write({}).text;
  for (size_t at = 0; at + 5 < all.size(); ++at) {
    const std::string stop = all.substr(at, 5);
    if (to_valid_utf8(stop) != stop) continue;
    const Written cut = write({"not there", stop});
    EXPECT_EQ(cut.text, all.substr(0, all.find(stop)));
    EXPECT_EQ(cut.generation.stop_reason, StopReason::kStop);
    EXPECT_EQ(cut.generation.stop_string, stop);
    EXPECT_LE(cut.generation.tokens.size(), 60u);
  }
}

TEST_F(GenerateTextTest, WritesTheBeginningOfAStopStringThatDoesNotCome) {
  const std::string all = write({}).text;
  const Written cut = write({all.substr(all.size() - 1) + " and more"});
  EXPECT_EQ(cut.text, all);
  EXPECT_EQ(cut.generation.stop_reason, StopReason::kLength);
  EXPECT_EQ(cut.generation.stop_string, "");
}

TEST(StopReasonTest, HasAName) {
  EXPECT_EQ(stop_reason_name(StopReason::kStop), "stop");
  EXPECT_EQ(stop_reason_name(StopReason::kLength), "length");
  EXPECT_EQ(stop_reason_name(StopReason::kContext), "context");
  EXPECT_EQ(stop_reason_name(StopReason::kInterrupted), "interrupted");
}

}  // namespace
}  // namespace carat
