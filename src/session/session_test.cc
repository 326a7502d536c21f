#include "session/session.h"

#include <gtest/gtest.h>

#include "kernels/select.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  Session open(const SessionOptions& options) {
    Result<Session> session = Session::create(model_, options);
    EXPECT_TRUE(session.ok()) << session.error().message;
    return std::move(session).value();
  }

  std::vector<int32_t> prompt(size_t count) const {
    return random_ids(model_.config().vocabulary, model_.vocabulary().bos, count, 1);
  }

  Ops ops_{*all_kernels().front(), 1};
  Model model_ = Model::load(golden_model("e2b_bf16").folder, ops_).value();
};

std::vector<int32_t> take(Session& session, int count) {
  std::vector<int32_t> ids;
  for (int i = 0; i < count; ++i) ids.push_back(session.next().value());
  return ids;
}

TEST_F(SessionTest, TakesTheModelsContextWhenNoneIsGiven) { EXPECT_EQ(open({}).context(), model_.config().context); }

TEST_F(SessionTest, RefusesAContextBeyondTheModels) {
  for (const int64_t context : {int64_t{-1}, model_.config().context + 1}) {
    const Result<Session> session = Session::create(model_, {.context = context});
    ASSERT_FALSE(session.ok());
    EXPECT_NE(session.error().message.find(std::to_string(model_.config().context)), std::string::npos);
  }
}

TEST_F(SessionTest, RefusesSamplingThatMakesNoSense) {
  EXPECT_FALSE(Session::create(model_, {.sampling = {.temperature = -1.0f}}).ok());
}

TEST_F(SessionTest, RefusesAnEmptyPrompt) {
  Session session = open({});
  EXPECT_EQ(session.prefill({}).error().kind, ErrorKind::kUsage);
}

TEST_F(SessionTest, RefusesAPromptLongerThanTheContextAndSaysBothNumbers) {
  Session session = open({.context = 8});
  const Status status = session.prefill(prompt(9));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kUsage);
  EXPECT_NE(status.error().message.find("9 tokens"), std::string::npos) << status.error().message;
  EXPECT_NE(status.error().message.find("8 of the context's 8"), std::string::npos) << status.error().message;
  EXPECT_EQ(session.position(), 0);
  EXPECT_TRUE(session.prefill(prompt(8)).ok());
}

TEST_F(SessionTest, RefusesIdsOutsideTheVocabulary) {
  Session session = open({});
  const auto V = static_cast<int32_t>(model_.config().vocabulary);
  EXPECT_FALSE(session.prefill(std::vector<int32_t>{2, V}).ok());
  EXPECT_EQ(session.position(), 0);
}

TEST_F(SessionTest, PicksWhatTheModelFindsMostLikely) {
  Session session = open({});
  const std::vector<int32_t> ids = prompt(20);
  ASSERT_TRUE(session.prefill(ids).ok());
  KvCache cache(model_.config(), 20);
  ASSERT_TRUE(cache.reserve(20).ok());
  const int32_t expected = most_likely(model_.last_logits(ids, cache).value());
  EXPECT_EQ(session.next().value(), expected);
}

TEST_F(SessionTest, WhatNextGaveIsFedBeforeWhatFollows) {
  Session first = open({});
  ASSERT_TRUE(first.prefill(prompt(10)).ok());
  const std::vector<int32_t> picked = take(first, 3);
  EXPECT_EQ(first.position(), 12);
  ASSERT_TRUE(first.prefill(prompt(5)).ok());
  EXPECT_EQ(first.position(), 18);

  std::vector<int32_t> all = prompt(10);
  all.insert(all.end(), picked.begin(), picked.end());
  const std::vector<int32_t> more = prompt(5);
  all.insert(all.end(), more.begin(), more.end());
  Session second = open({});
  ASSERT_TRUE(second.prefill(all).ok());
  const std::vector<int32_t> expected = take(second, 4);
  Session third = open({});
  ASSERT_TRUE(third.prefill(prompt(10)).ok());
  take(third, 3);
  ASSERT_TRUE(third.prefill(more).ok());
  EXPECT_EQ(take(third, 4), expected);
}

TEST_F(SessionTest, TheContextFillsUp) {
  Session session = open({.context = 6});
  ASSERT_TRUE(session.prefill(prompt(4)).ok());
  EXPECT_FALSE(session.full());
  take(session, 3);
  EXPECT_TRUE(session.full());
  EXPECT_EQ(session.position(), 6);
  const Result<int32_t> beyond = session.next();
  ASSERT_FALSE(beyond.ok());
  EXPECT_NE(beyond.error().message.find("6 positions"), std::string::npos) << beyond.error().message;
  EXPECT_FALSE(session.prefill(prompt(1)).ok());
}

TEST_F(SessionTest, TheSinkGetsEveryPositionFedAndChangesNoPick) {
  Session plain = open({});
  ASSERT_TRUE(plain.prefill(prompt(150)).ok());
  const std::vector<int32_t> expected = take(plain, 4);

  Session watched = open({});
  std::vector<int32_t> best;
  watched.set_logits_sink([&](std::span<const float> logits) {
    EXPECT_EQ(logits.size(), static_cast<size_t>(model_.config().vocabulary));
    best.push_back(most_likely(logits));
    return success();
  });
  ASSERT_TRUE(watched.prefill(prompt(150)).ok());
  EXPECT_EQ(take(watched, 4), expected);
  ASSERT_EQ(best.size(), 153u);
  EXPECT_EQ((std::vector<int32_t>(best.end() - 4, best.end())), expected);
}

TEST_F(SessionTest, AnErrorOfTheSinkIsPassedOn) {
  Session session = open({});
  session.set_logits_sink([](std::span<const float>) -> Status { return failed("no room for logits"); });
  EXPECT_EQ(session.prefill(prompt(3)).error().message, "no room for logits");
  EXPECT_EQ(session.position(), 0) << "nothing is appended";
}

TEST_F(SessionTest, SamplesTheSameWithTheSameSeed) {
  const SessionOptions options{.sampling = {.temperature = 1.0f, .seed = 3}};
  Session first = open(options);
  Session second = open(options);
  ASSERT_TRUE(first.prefill(prompt(5)).ok());
  const std::vector<int32_t> ids = take(first, 30);
  ASSERT_TRUE(second.prefill(prompt(5)).ok());
  EXPECT_EQ(take(second, 30), ids);
}

}  // namespace
}  // namespace carat
