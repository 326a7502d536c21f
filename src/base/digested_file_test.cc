#include "base/digested_file.h"

#include <gtest/gtest.h>

#include "base/file_map.h"

namespace carat {
namespace {

TEST(DigestedFile, KnowsTheDigestOfWhatWasWrittenFirst) {
  const std::filesystem::path path = testing::TempDir() + "carat-digested-file";
  DigestedFile file = *DigestedFile::create(path);
  ASSERT_TRUE(file.write("0000").ok());
  ASSERT_TRUE(file.write("rest").ok());
  EXPECT_EQ(file.digest(), sha256("0000rest"));
  ASSERT_TRUE(file.overwrite(0, as_bytes("1234")).ok());
  EXPECT_EQ(file.digest(), sha256("0000rest"));
  EXPECT_EQ(file.size(), 8u);
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(*read_text_file(path, 100), "1234rest");
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace carat
