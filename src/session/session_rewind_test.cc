#include <gtest/gtest.h>

#include "kernels/select.h"
#include "session/session.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

constexpr int64_t kBatch = 16;
constexpr size_t kIds = 150;

class SessionRewindTest : public ::testing::TestWithParam<const char*> {
 protected:
  Session open(const SessionOptions& options = {}) { return Session::create(model_, options).value(); }

  std::vector<int32_t> ids(size_t count, uint32_t seed) const {
    return random_ids(model_.config().vocabulary, model_.vocabulary().bos, count, seed);
  }

  /// The logits of each position that the session feeds for `more`.
  std::vector<float> logits_of(Session& session, std::span<const int32_t> more) {
    std::vector<float> all;
    session.set_logits_sink([&all](std::span<const float> logits) {
      all.insert(all.end(), logits.begin(), logits.end());
      return success();
    });
    EXPECT_TRUE(session.prefill(more).ok());
    session.set_logits_sink(nullptr);
    return all;
  }

  Ops ops_{*all_kernels().front(), 2};
  Model model_ = Model::load(golden_model(GetParam()).folder, ops_, {.batch = kBatch}).value();
};

INSTANTIATE_TEST_SUITE_P(Models, SessionRewindTest, testing::Values("e2b_f32", "12b_f32", "26b_f32"),
                         [](const auto& name) { return std::string(name.param); });

TEST_P(SessionRewindTest, IsAsIfNothingElseHadBeenFed) {
  const std::vector<int32_t> first = ids(kIds, 1), other = ids(30, 2);
  for (const DType type : {DType::kF32, DType::kF16}) {
    for (const int64_t kept : {int64_t{0}, int64_t{1}, int64_t{40}, int64_t{kIds} - kBatch, int64_t{kIds} - 1}) {
      Session rewound = open({.cache_type = type}), fresh = open({.cache_type = type});
      ASSERT_TRUE(rewound.prefill(first).ok());
      const int64_t again = rewound.rewind(kept);
      EXPECT_EQ(again, kept < int64_t{kIds} - kBatch ? kept : 0);
      EXPECT_EQ(rewound.position(), kept);
      if (kept > 0) {
        ASSERT_TRUE(fresh.prefill(std::span(first).first(static_cast<size_t>(kept))).ok());
      }
      EXPECT_EQ(logits_of(rewound, other), logits_of(fresh, other)) << kept << " kept, " << dtype_name(type);
      EXPECT_EQ(rewound.position(), kept + 30);
    }
  }
}

TEST_P(SessionRewindTest, BeforeTheRingIsFullEverythingIsInReach) {
  Session session = open();
  const auto ring = static_cast<size_t>(model_.config().sliding_window + kBatch - 1);
  ASSERT_TRUE(session.prefill(ids(ring, 1)).ok());
  EXPECT_EQ(session.rewind(1), 0);
}

TEST_P(SessionRewindTest, TwoRewindsInARow) {
  const std::vector<int32_t> first = ids(kIds, 1), other = ids(5, 2), last = ids(20, 3);
  for (const int64_t second : {int64_t{137}, int64_t{134}, int64_t{133}, int64_t{50}}) {
    Session session = open(), fresh = open();
    ASSERT_TRUE(session.prefill(first).ok());
    EXPECT_EQ(session.rewind(140), 0);
    ASSERT_TRUE(session.prefill(other).ok());
    EXPECT_EQ(session.rewind(second), second < 134 ? second : 0);
    ASSERT_TRUE(fresh.prefill(std::span(first).first(static_cast<size_t>(second))).ok());
    EXPECT_EQ(logits_of(session, last), logits_of(fresh, last)) << second;
  }
}

TEST_P(SessionRewindTest, NextGoesOnFromThePositionKept) {
  const std::vector<int32_t> first = ids(kIds, 1);
  for (const size_t kept : {size_t{1}, size_t{40}, kIds - size_t{kBatch}, kIds - 2, kIds}) {
    Session rewound = open(), fresh = open();
    ASSERT_TRUE(rewound.prefill(first).ok());
    ASSERT_TRUE(rewound.next().ok());
    rewound.rewind(static_cast<int64_t>(kept));
    ASSERT_TRUE(fresh.prefill(std::span(first).first(kept)).ok());
    for (int i = 0; i < 5; ++i) EXPECT_EQ(rewound.next().value(), fresh.next().value()) << kept << " kept";
    EXPECT_EQ(rewound.position(), fresh.position());
  }
}

TEST_P(SessionRewindTest, PenaltiesForgetWhatIsForgotten) {
  const std::vector<int32_t> first = ids(kIds, 1);
  const SessionOptions options{.sampling = {.repetition_penalty = 1.5f, .penalty_window = -1}};
  Session rewound = open(options), fresh = open(options);
  ASSERT_TRUE(rewound.prefill(first).ok());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(rewound.next().ok());
  rewound.rewind(10);
  ASSERT_TRUE(fresh.prefill(std::span(first).first(10)).ok());
  for (int i = 0; i < 30; ++i) ASSERT_EQ(rewound.next().value(), fresh.next().value()) << "token " << i;
}

TEST_P(SessionRewindTest, TheSinkGetsNoPositionTwice) {
  Session session = open();
  ASSERT_TRUE(session.prefill(ids(kIds, 1)).ok());
  EXPECT_EQ(session.rewind(30), 30);
  const auto V = static_cast<size_t>(model_.config().vocabulary);
  EXPECT_EQ(logits_of(session, ids(7, 2)).size(), 7 * V);
}

TEST_P(SessionRewindTest, RefusesACacheTypeThatDoesNotFitTheHeads) {
  const Status fits = check_cache_type(DType::kQ4_0, model_.config());
  EXPECT_EQ(Session::create(model_, {.cache_type = DType::kQ4_0}).ok(), fits.ok());
  EXPECT_FALSE(Session::create(model_, {.cache_type = DType::kQ6_K}).ok());
}

}  // namespace
}  // namespace carat
