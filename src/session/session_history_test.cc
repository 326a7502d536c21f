#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "base/random.h"
#include "kernels/select.h"
#include "session/session.h"
#include "tests/support/tiny_model.h"

// Whatever has been fed, taken back and fed again: a session is like a new one that was given its tokens at once.

namespace carat {
namespace {

constexpr int kHistories = 300;
constexpr int kSteps = 12;
constexpr int64_t kContext = 80;

const TinyShape kShapes[] = {
    {.pattern = "SFSF", .shared = 2, .window = 5},
    {.pattern = "SSF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 4, .window = 3},
    {.pattern = "FF", .shared = 0, .value_is_key = true},
    {.pattern = "SSF", .shared = 0, .window = 1},
};

/// Two models of one file, each with scratch memory of its own.
class History {
 public:
  History(const std::filesystem::path& path, uint64_t seed)
      : random_(seed),
        ops_(*all_kernels().front(), 1 + static_cast<int>(random_.below(2))),
        model_(Model::load(path, ops_, {.batch = 1 + random_.below(20)}).value()),
        other_(Model::load(path, ops_, {.batch = 1 + random_.below(20)}).value()) {
    constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0};
    options_.context = kContext;
    options_.cache_type = kTypes[random_.below(4)];
    options_.sampling.repetition_penalty = random_.below(2) == 0 ? 1.0f : 1.3f;
    session_.emplace(Session::create(model_, options_).value());
  }

  void step() {
    const int64_t room = kContext - session_->position() - 1;
    const uint32_t choice = random_.below(3);
    if (choice == 0 && room > 0) {
      prefill(1 + random_.below(static_cast<uint32_t>(std::min<int64_t>(room, 30))));
    } else if (choice == 1 && room > 0 && session_->position() > 0) {
      for (int64_t i = 0; i < std::min<int64_t>(room, 4); ++i) ASSERT_TRUE(session_->next().ok());
    } else {
      const int64_t held = session_->position();
      const int64_t back = std::min<int64_t>(held, random_.below(random_.below(2) == 0 ? 8 : 60));
      const int64_t again = session_->rewind(held - back);
      ASSERT_TRUE(again == 0 || again == held - back) << again;
    }
  }

  void expect_as_if_new() {
    if (session_->position() == 0 || session_->position() == kContext) return;
    Session fresh = Session::create(other_, options_).value();
    const std::vector<int32_t> tokens(session_->tokens().begin(), session_->tokens().end());
    ASSERT_TRUE(fresh.prefill(tokens).ok());
    const int64_t position = session_->position();
    session_->rewind(position);
    EXPECT_EQ(session_->next().value(), fresh.next().value());
    const std::vector<int32_t> one = {static_cast<int32_t>(random_.below(200))};
    session_->rewind(position);
    fresh.rewind(position);
    EXPECT_EQ(logits_of(*session_, one), logits_of(fresh, one)) << position << " positions";
  }

 private:
  void prefill(int64_t count) {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random_.below(200)));
    ASSERT_TRUE(session_->prefill(ids).ok());
  }

  static std::vector<float> logits_of(Session& session, std::span<const int32_t> ids) {
    std::vector<float> all;
    session.set_logits_sink([&all](std::span<const float> logits) {
      all.insert(all.end(), logits.begin(), logits.end());
      return success();
    });
    EXPECT_TRUE(session.prefill(ids).ok());
    session.set_logits_sink(nullptr);
    return all;
  }

  Random random_;
  Ops ops_;
  Model model_;
  Model other_;
  SessionOptions options_;
  std::optional<Session> session_;
};

TEST(SessionHistoryTest, NoHistoryShows) {
  TemporaryFolder folder;
  std::vector<std::filesystem::path> paths;
  for (const TinyShape& shape : kShapes) {
    paths.push_back(folder / ("model" + std::to_string(paths.size()) + ".gguf"));
    ASSERT_TRUE(TinyModel(shape, 1).write(paths.back(), "q4_0").ok());
  }
  for (uint64_t seed = 0; seed < kHistories; ++seed) {
    SCOPED_TRACE("history " + std::to_string(seed));
    History history(paths[seed % paths.size()], seed);
    for (int i = 0; i < kSteps && !testing::Test::HasFailure(); ++i) {
      history.step();
      if (i % 3 != 0) history.expect_as_if_new();
    }
  }
}

}  // namespace
}  // namespace carat
