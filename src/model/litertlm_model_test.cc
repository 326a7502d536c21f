#include <gtest/gtest.h>

#include "formats/convert.h"
#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

const std::filesystem::path kBundle = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/litertlm/e2b_1.litertlm";

std::vector<float> logits_of(const std::filesystem::path& path) {
  Ops ops(*select_kernels().value(), 2);
  Model model = Model::load(path, ops).value();
  KvCache cache(model.config(), 64, model.cache_options().value());
  EXPECT_TRUE(cache.reserve(64).ok());
  const std::vector<int32_t> ids = {2, 300, 17, 44, 44, 101, 5, 299};
  const std::span<const float> logits = model.last_logits(ids, cache).value();
  return {logits.begin(), logits.end()};
}

TEST(LitertlmModel, ComputesWhatItsFolderDoes) {
  const TemporaryFolder folder;
  const Checkpoint bundle = Checkpoint::open(kBundle).value();
  const auto go_on = [](uint64_t, uint64_t) { return true; };
  ASSERT_TRUE(convert_checkpoint(bundle, folder / "m", {}, go_on).ok());
  const std::vector<float> logits = logits_of(kBundle);
  EXPECT_EQ(logits, logits_of(folder / "m"));
  EXPECT_NE(logits.front(), logits.back());
}

}  // namespace
}  // namespace carat
