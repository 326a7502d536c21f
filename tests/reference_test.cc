#include <gtest/gtest.h>

#include <iostream>
#include <optional>

#include "reference/gemma4.h"
#include "tests/support/golden_logits.h"

namespace carat {
namespace {

// The reference sums in double, so this is about the rounding of the other side; 4.4e-6 was seen.
constexpr double kTolerance = 1e-5;

class ReferenceTest : public testing::TestWithParam<const char*> {
 protected:
  ReferenceTest() : golden_(golden_model(GetParam())) {
    auto opened = Checkpoint::open(golden_.folder);
    if (!opened.ok()) ADD_FAILURE() << opened.error().message;
    if (opened.ok()) checkpoint_.emplace(*std::move(opened));
  }

  GoldenModel golden_;
  std::optional<Checkpoint> checkpoint_;
};

TEST_P(ReferenceTest, GivesTheLogitsOfTransformers) {
  ASSERT_TRUE(checkpoint_.has_value());
  for (const GoldenPrompt& prompt : golden_.prompts) {
    const double difference = largest_difference(reference_logits(*checkpoint_, prompt.ids), prompt.logits);
    EXPECT_LT(difference, kTolerance) << prompt.ids.size() << " tokens";
    std::cout << GetParam() << ": " << prompt.ids.size() << " tokens, largest difference " << difference << "\n";
  }
}

TEST_P(ReferenceTest, TheFirstPromptIsThreeWindowsLong) {
  ASSERT_TRUE(checkpoint_.has_value());
  const auto length = static_cast<int64_t>(golden_.prompts.front().ids.size());
  EXPECT_GT(length, 3 * checkpoint_->config().sliding_window);
}

TEST_P(ReferenceTest, LaterTokensDoNotChangeEarlierLogits) {
  ASSERT_TRUE(checkpoint_.has_value());
  const GoldenPrompt& prompt = golden_.prompts.front();
  const size_t kept = prompt.ids.size() / 2;
  const std::vector<float> whole = reference_logits(*checkpoint_, prompt.ids);
  const std::vector<float> prefix = reference_logits(*checkpoint_, std::span(prompt.ids).first(kept));
  EXPECT_EQ(prefix, std::vector<float>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(prefix.size())));
}

// Where transformers' own logits move between float32 and float64, a code is next to a half step and decides; the
// reference is then held to be as near to one of the two as it is elsewhere.
TEST(MobileReferenceTest, GivesTheLogitsOfTransformers) {
  for (const char* name : kMobileModels) {
    const GoldenModel single = mobile_model(name), twice = mobile_model(name, "logits_f64.npy");
    const Checkpoint checkpoint = Checkpoint::open(single.folder).value();
    const auto V = static_cast<size_t>(checkpoint.config().vocabulary);
    for (size_t i = 0; i < single.prompts.size(); ++i) {
      const GoldenPrompt& prompt = single.prompts[i];
      const std::vector<float> logits = reference_logits(checkpoint, prompt.ids, /*static_cache=*/false);
      for (size_t t = 0; t < prompt.ids.size(); ++t) {
        const auto found = std::span(logits).subspan(t * V, V);
        const double from_single = largest_difference(found, std::span(prompt.logits).subspan(t * V, V));
        const double from_double = largest_difference(found, std::span(twice.prompts[i].logits).subspan(t * V, V));
        EXPECT_LT(std::min(from_single, from_double), kTolerance) << name << ", position " << t;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ReferenceTest, testing::ValuesIn(kGoldenModels),
                         [](const auto& model) { return std::string(model.param); });

}  // namespace
}  // namespace carat
