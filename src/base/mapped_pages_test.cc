#include "base/mapped_pages.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/file_map.h"
#include "base/file_write.h"

namespace carat {
namespace {

TEST(MappedPages, ReleasedBytesAreReadAgainFromTheFile) {
  const auto path = std::filesystem::path(testing::TempDir()) / "carat-mapped-pages";
  std::string content(300'001, '\0');
  std::generate(content.begin(), content.end(),
                [n = 0u]() mutable { return static_cast<char>(++n * 2654435761u >> 24); });
  ASSERT_TRUE(write_file(path, content).ok());
  const FileMap map = FileMap::open(path).value();
  for (const size_t begin : {size_t{0}, size_t{1}, size_t{5000}}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4096}, size_t{100'000}, content.size() - 5000}) {
      release_mapped_pages(map.bytes().subspan(begin, size));
      EXPECT_EQ(as_text(map.bytes()), content);
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace carat
