#include "plan_rows.h"

#include <gtest/gtest.h>

#include <sstream>

#include "model/preset.h"

namespace carat {
namespace {

constexpr int64_t kContexts[] = {4096, 32768, 131072};

PlannedModel planned(const std::string& preset, const std::string& scheme) {
  const ModelConfig config = preset_config(preset).value();
  return {preset, scheme, sizes_of(config, *built_in_scheme(scheme)).value(), {.program = 9'000'000}};
}

std::vector<PlanRow> rows_of(const Machine& machine, const std::vector<std::string>& presets) {
  std::vector<PlanRow> rows;
  for (const std::string& preset : presets) {
    for (const char* scheme : {"bf16", "q4_0"}) {
      for (PlanRow& row : plan_rows(planned(preset, scheme), kContexts, std::nullopt, machine)) rows.push_back(row);
    }
  }
  return rows;
}

TEST(PlanRows, EndAtTheModelsOwnContext) {
  const auto contexts = [](const char* preset) {
    std::vector<int64_t> found;
    for (const PlanRow& row : plan_rows(planned(preset, "q4_0"), kContexts, std::nullopt, {})) {
      found.push_back(row.context);
    }
    return found;
  };
  EXPECT_EQ(contexts("e2b"), (std::vector<int64_t>{4096, 32768, 131072}));
  EXPECT_EQ(contexts("opal"), (std::vector<int64_t>{512}));
}

TEST(PlanRows, TheRateIsBandwidthByBytes) {
  const PlannedModel model = planned("e2b", "q4_0");
  const Machine machine = {.available = 0, .bandwidth = 1e10};
  const PlanRow row = plan_rows(model, std::span(kContexts).first(1), DType::kF16, machine).front();
  EXPECT_EQ(row.read_for_token,
            model.sizes.read_for_token + key_value_bytes_read(model.sizes.config, 4096, DType::kF16));
  EXPECT_DOUBLE_EQ(row.tokens_per_s, 1e10 / static_cast<double>(row.read_for_token));
}

TEST(PlanRows, WhatIsLargerThanTheMachineDoesNotFit) {
  const PlannedModel model = planned("e2b", "q4_0");
  const uint64_t needed = plan_memory(model.sizes, model.process, 4096, {}).total();
  const auto fits = [&](uint64_t available) {
    return plan_rows(model, std::span(kContexts).first(1), std::nullopt, {.available = available}).front().fits;
  };
  EXPECT_TRUE(fits(needed));
  EXPECT_FALSE(fits(needed - 1));
}

TEST(Recommendation, IsTheLargestThatFitsAndIsQuick) {
  const Machine quick = {.available = 16'000'000'000, .bandwidth = 1e11};
  EXPECT_EQ(recommendation(rows_of(quick, {"e2b", "e4b", "12b", "31b"}), quick).find("Recommended: 12b as q4_0 "), 0u);
  const Machine slow = {.available = 16'000'000'000, .bandwidth = 2e10};
  EXPECT_EQ(recommendation(rows_of(slow, {"e2b", "e4b", "12b", "31b"}), slow).find("Recommended: e4b as q4_0 "), 0u);
}

TEST(Recommendation, SaysWhenNothingIsQuickAndWhatIsMissing) {
  const Machine slow = {.available = 16'000'000'000, .bandwidth = 1e9};
  const std::string slowest = recommendation(rows_of(slow, {"e2b", "e4b"}), slow);
  EXPECT_EQ(slowest.find("Recommended: e2b as q4_0 with a context of 4096"), 0u) << slowest;
  EXPECT_NE(slowest.find("nothing that fits is quicker"), std::string::npos);
  const Machine small = {.available = 1'000'000'000, .bandwidth = 1e10};
  const std::string none = recommendation(rows_of(small, {"e2b", "e4b"}), small);
  EXPECT_EQ(none.find("None of these fits: the smallest, e2b as q4_0 with a context of 4096, lacks "), 0u) << none;
}

TEST(PlanTable, HasALineForEachRowAndIs120ColumnsWide) {
  const Machine machine = {.available = 16'000'000'000, .bandwidth = 1e11};
  const std::vector<PlanRow> rows = rows_of(machine, {"e2b", "26b-a4b", "31b"});
  std::istringstream table(plan_table(rows, machine));
  size_t lines = 0;
  for (std::string line; std::getline(table, line) && !line.empty(); ++lines) EXPECT_LE(line.size(), 120u) << line;
  EXPECT_EQ(lines, rows.size() + 1);
}

}  // namespace
}  // namespace carat
