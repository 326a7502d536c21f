#include "base/file_map.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

namespace carat {
namespace {

class FileMapTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "carat-file-map-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file_with(const std::string& content, const std::string& name = "file") {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  std::filesystem::path folder_;
};

TEST_F(FileMapTest, ShowsTheBytesOfAFile) {
  const std::string content = std::string("two\0parts", 9) + std::string(10000, 'x');
  auto map = FileMap::open(file_with(content));
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(as_text(map->bytes()), content);
}

TEST_F(FileMapTest, AnEmptyFileHasNoBytes) {
  auto map = FileMap::open(file_with(""));
  ASSERT_TRUE(map.ok());
  EXPECT_TRUE(map->bytes().empty());
}

TEST_F(FileMapTest, BytesStayWhereTheyAreWhenTheMapIsMoved) {
  FileMap map = *FileMap::open(file_with("content"));
  const std::byte* address = map.bytes().data();
  FileMap moved = std::move(map);
  EXPECT_EQ(moved.bytes().data(), address);
  FileMap assigned = *FileMap::open(file_with("other", "second"));
  assigned = std::move(moved);
  EXPECT_EQ(assigned.bytes().data(), address);
  EXPECT_EQ(as_text(assigned.bytes()), "content");
}

TEST_F(FileMapTest, ReadsByPositionTheFileThatWasOpened) {
  const std::filesystem::path path = file_with("0123456789");
  FileMap opened = *FileMap::open(path);
  const FileMap map = std::move(opened);
  std::filesystem::remove(path);
  file_with("another");
  std::string read(4, ' ');
  ASSERT_TRUE(map.read(5, std::as_writable_bytes(std::span(read))).ok());
  EXPECT_EQ(read, "5678");
}

TEST_F(FileMapTest, AFileThatBecameShorterIsAnErrorToReadByPosition) {
  const std::filesystem::path path = file_with("0123456789");
  const FileMap map = *FileMap::open(path);
  std::filesystem::resize_file(path, 6);
  std::string read(4, ' ');
  const Status status = map.read(5, std::as_writable_bytes(std::span(read)));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            path.string() + ": 4 bytes at offset 5 could not be read: the file ends after 1 of them");
}

TEST_F(FileMapTest, RefusesWhatIsNoRegularFile) {
  const std::filesystem::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const std::filesystem::path& path : {folder_, pipe, std::filesystem::path("/dev/null")}) {
    const auto map = FileMap::open(path);
    ASSERT_FALSE(map.ok()) << path;
    EXPECT_EQ(map.error().kind, ErrorKind::kRefused);
    EXPECT_EQ(map.error().message, path.string() + ": expected a regular file");
  }
}

TEST_F(FileMapTest, RefusesWhatIsNotThere) {
  const std::filesystem::path path = folder_ / "missing";
  const auto map = FileMap::open(path);
  ASSERT_FALSE(map.ok());
  EXPECT_EQ(map.error().kind, ErrorKind::kRefused);
  EXPECT_EQ(map.error().message, path.string() + ": cannot be opened: No such file or directory");
}

TEST_F(FileMapTest, TextFilesAreBounded) {
  const std::filesystem::path path = file_with("twelve bytes");
  EXPECT_EQ(read_text_file(path, 12).value(), "twelve bytes");
  const auto text = read_text_file(path, 11);
  ASSERT_FALSE(text.ok());
  EXPECT_EQ(text.error().message, path.string() + ": 12 bytes, expected at most 11");
}

}  // namespace
}  // namespace carat
