#include <gtest/gtest.h>

#include "formats/convert.h"
#include "kernels/select.h"
#include "model/model.h"
#include "tests/support/edited_checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

bool keep_going(uint64_t, uint64_t) { return true; }

std::vector<float> logits_of(Model& model) {
  const std::vector<int32_t> ids = random_ids(model.config().vocabulary, model.vocabulary().bos, 24, 1);
  KvCache cache(model.config(), static_cast<int64_t>(ids.size()));
  EXPECT_TRUE(cache.reserve(static_cast<int64_t>(ids.size())).ok());
  std::vector<float> all;
  for (const int32_t id : ids) {
    const std::span<const float> logits = model.all_logits(std::span(&id, 1), cache).value();
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

/// With every matrix in turn: the same bits as the model that is stored so, and afterwards those from before.
void expect_as_stored(const TinyShape& shape) {
  const TemporaryFolder folder;
  ASSERT_TRUE(TinyModel(shape, 3).write(folder / "whole.gguf", "f32").ok());
  Ops ops(*all_kernels().front(), 2);
  Model model = Model::load(folder / "whole.gguf", ops).value();
  const std::vector<float> before = logits_of(model);
  int matrices = 0;
  for (const NamedTensor& tensor : model.checkpoint().tensors()) {
    if (tensor.view.shape.size() < 2 || tensor.name.find("router") != std::string::npos) continue;
    const Scheme scheme = {.name = "one", .rules = {{.pattern = tensor.name, .lattice = DType::kQ4_0}}};
    const std::filesystem::path stored = folder / ("one" + std::to_string(matrices++) + ".gguf");
    ConvertOptions options;
    options.scheme = &scheme;
    const auto converted = convert_checkpoint(model.checkpoint(), stored, options, keep_going);
    ASSERT_TRUE(converted.ok()) << converted.error().message;
    Model other = Model::load(stored, ops).value();
    const TensorView instead = *other.checkpoint().find(tensor.name);
    ASSERT_EQ(instead.dtype, DType::kQ4_0);

    ASSERT_TRUE(model.compute_with(NamedTensor{tensor.name, instead}).ok());
    const std::vector<float> replaced = logits_of(model);
    EXPECT_NE(replaced, before) << tensor.name;
    EXPECT_EQ(replaced, logits_of(other)) << tensor.name;
    ASSERT_TRUE(model.compute_with(std::nullopt).ok());
    EXPECT_EQ(logits_of(model), before) << tensor.name;
  }
  EXPECT_GT(matrices, 10);
}

TEST(ReplacedMatrix, IsAsTheModelThatIsStoredSo) { expect_as_stored({.pattern = "SFSF", .shared = 2}); }

TEST(ReplacedMatrix, OfExpertsToo) {
  expect_as_stored({.pattern = "SF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 4});
}

}  // namespace
}  // namespace carat
