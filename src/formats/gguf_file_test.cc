#include <gtest/gtest.h>

#include <fstream>

#include "formats/gguf.h"
#include "formats/gguf_write.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

/// A part as gguf-split writes it, with one vector for each name.
struct PartOf {
  std::string name;
  int index = 0;
  std::vector<std::string> tensors;
  int parts = 3;
  int total = 4;
};

void write(const std::filesystem::path& path, const PartOf& part) {
  GgufHeader header;
  if (part.index == 0) header.add_string("general.architecture", "gemma4");
  header.add_u32("split.no", static_cast<uint32_t>(part.index));
  header.add_u32("split.count", static_cast<uint32_t>(part.parts));
  header.add_i32("split.tensors.count", part.total);
  for (const std::string& tensor : part.tensors) header.add_tensor({tensor, DType::kF32, {8}});
  std::ofstream file(path, std::ios::binary);
  file << header.bytes() << std::string(32 * part.tensors.size(), static_cast<char>(part.index));
}

class SplitGgufTest : public ::testing::Test {
 protected:
  SplitGgufTest() {
    for (const PartOf& part : parts_) write(folder_ / part.name, part);
  }

  Result<GgufFile> open(size_t part) { return GgufFile::open(folder_ / parts_[part].name); }

  /// Whichever part is opened, the message names the file `about` and says `why`.
  void expect_refused(const std::string& about, const std::string& why) {
    for (const PartOf& part : parts_) {
      if (!std::filesystem::exists(folder_ / part.name)) continue;
      const Result<GgufFile> file = GgufFile::open(folder_ / part.name);
      ASSERT_FALSE(file.ok()) << why;
      EXPECT_EQ(file.error().kind, ErrorKind::kRefused);
      EXPECT_TRUE(file.error().message.starts_with((folder_ / about).string())) << file.error().message;
      EXPECT_NE(file.error().message.find(why), std::string::npos) << file.error().message;
    }
  }

  const std::vector<PartOf> parts_ = {{"m-00001-of-00003.gguf", 0, {"a"}},
                                      {"m-00002-of-00003.gguf", 1, {"b", "c"}},
                                      {"m-00003-of-00003.gguf", 2, {"d"}}};
  TemporaryFolder folder_;
};

TEST_F(SplitGgufTest, AnyPartOpensAll) {
  for (size_t opened = 0; opened < parts_.size(); ++opened) {
    const Result<GgufFile> file = open(opened);
    ASSERT_TRUE(file.ok()) << file.error().message;
    EXPECT_EQ(file->entries().front().key, "general.architecture");
    std::string names, data;
    for (const NamedTensor& tensor : file->tensors()) {
      names += tensor.name;
      data += std::to_string(std::to_integer<int>(tensor.view.data[0]));
    }
    EXPECT_EQ(names, "abcd");
    EXPECT_EQ(data, "0112");
  }
}

TEST_F(SplitGgufTest, TheFirstPartMayHoldNoTensors) {
  write(folder_ / parts_[0].name, {"", 0, {}, 3, 3});
  write(folder_ / parts_[1].name, {"", 1, {"b", "c"}, 3, 3});
  write(folder_ / parts_[2].name, {"", 2, {"d"}, 3, 3});
  EXPECT_EQ(open(0).value().tensors().size(), 3u);
}

TEST_F(SplitGgufTest, ASplitOfOneIsAFileOfAnyName) {
  for (const int parts : {0, 1}) {
    write(folder_ / "whole.gguf", {"", 0, {"a"}, parts, 1});
    EXPECT_EQ(GgufFile::open(folder_ / "whole.gguf").value().tensors().size(), 1u);
  }
}

TEST_F(SplitGgufTest, NamesTheMissingPart) {
  std::filesystem::remove(folder_ / parts_[1].name);
  expect_refused(parts_[1].name, "is missing; it is part 2 of 3");
}

TEST_F(SplitGgufTest, RefusesAPartUnderAnotherPartsName) {
  write(folder_ / parts_[2].name, {"", 1, {"d"}});
  const Result<GgufFile> file = open(0);
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("00003-of-00003.gguf: holds part 2 of 3, expected part 3 of 3"),
            std::string::npos)
      << file.error().message;
}

TEST_F(SplitGgufTest, RefusesANameThatIsNoPartsName) {
  std::filesystem::rename(folder_ / parts_[1].name, folder_ / "second.gguf");
  const Result<GgufFile> file = GgufFile::open(folder_ / "second.gguf");
  ASSERT_FALSE(file.ok());
  EXPECT_NE(file.error().message.find("second.gguf: is part 2 of 3 of a split model, whose name ends with "
                                      "-00002-of-00003.gguf"),
            std::string::npos)
      << file.error().message;
}

TEST_F(SplitGgufTest, RefusesPartsOfDifferentModels) {
  write(folder_ / parts_[2].name, {"", 2, {"d"}, 4});
  EXPECT_NE(open(0).error().message.find("holds part 3 of 4, expected part 3 of 3"), std::string::npos);
  write(folder_ / parts_[2].name, {"", 2, {"d"}, 3, 5});
  EXPECT_NE(open(0).error().message.find("split.tensors.count: expected 4"), std::string::npos);
  write(folder_ / parts_[2].name, {"", 2, {"c"}});
  expect_refused(parts_[2].name, "c is also in m-00002-of-00003.gguf");
  write(folder_ / parts_[2].name, {"", 2, {"d", "e"}});
  expect_refused(parts_[0].name, "expected 4 tensors in all parts, found 5");
}

TEST_F(SplitGgufTest, RefusesCountsThatMakeNoSense) {
  write(folder_ / parts_[0].name, {"", 0, {"a"}, 1 << 20});
  EXPECT_NE(open(0).error().message.find("split.count: expected 1 to 1024"), std::string::npos);
  write(folder_ / parts_[0].name, {"", 3, {"a"}});
  EXPECT_NE(open(0).error().message.find("split.no: expected 0 to 2, found 3"), std::string::npos);
  write(folder_ / parts_[0].name, {"", 0, {"a"}, 3, -1});
  EXPECT_NE(open(0).error().message.find("split.tensors.count: expected at most"), std::string::npos);
}

TEST_F(SplitGgufTest, NamesTheDamagedPart) {
  std::filesystem::resize_file(folder_ / parts_[1].name, 100);
  EXPECT_NE(open(0).error().message.find("m-00002-of-00003.gguf: "), std::string::npos);
}

}  // namespace
}  // namespace carat
