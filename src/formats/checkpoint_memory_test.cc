#include <gtest/gtest.h>

#include <algorithm>

#include "formats/checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

class CheckpointMemory : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { ASSERT_TRUE(tiny_.write(folder_ / GetParam(), "bf16").ok()); }

  TemporaryFolder folder_;
  TinyModel tiny_;
};

INSTANTIATE_TEST_SUITE_P(Containers, CheckpointMemory, testing::Values("model.gguf", "model"),
                         [](const auto& container) {
                           return std::string(container.param) == "model" ? "folder" : "gguf";
                         });

TEST_P(CheckpointMemory, TellsWhereTheBytesOfATensorLie) {
  const Checkpoint checkpoint = Checkpoint::open(folder_ / GetParam()).value();
  for (const NamedTensor& tensor : checkpoint.tensors()) {
    const std::optional<SourcePlace> place = checkpoint.place_of(tensor.view.data);
    ASSERT_TRUE(place.has_value()) << tensor.name;
    std::vector<std::byte> read(tensor.view.data.size());
    ASSERT_TRUE(place->source->read(place->offset, read).ok()) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(read, tensor.view.data)) << tensor.name;
  }
  const std::vector<std::byte> elsewhere(10);
  EXPECT_FALSE(checkpoint.place_of(elsewhere).has_value());
}

TEST_P(CheckpointMemory, DroppedPiecesLeaveTheRestOfTheVocabulary) {
  Checkpoint checkpoint = Checkpoint::open(folder_ / GetParam()).value();
  const Vocabulary before = checkpoint.vocabulary();
  checkpoint.drop_pieces();
  const Vocabulary& after = checkpoint.vocabulary();
  EXPECT_EQ(after.pieces.capacity() + after.scores.capacity() + after.merges.capacity(), 0u);
  EXPECT_EQ(after.types, before.types);
  EXPECT_EQ(after.stop, before.stop);
  EXPECT_EQ(after.bos, before.bos);
  EXPECT_EQ(after.chat_template, before.chat_template);
}

}  // namespace
}  // namespace carat
