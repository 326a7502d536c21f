#include "base/file_write.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "base/file_map.h"

namespace carat {
namespace {

/// Until it is destroyed, no file of this process can grow beyond `bytes`: a disk that is full.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : old_handler_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_limit_);
    rlimit limit = old_limit_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &old_limit_);
    ::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_limit_{};
  sighandler_t old_handler_;
};

class FileWriteTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "carat-file-write-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    target_ = folder_ / "target";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string content() { return *read_text_file(target_, 1 << 20); }
  size_t files_in_folder() {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_, target_;
};

TEST_F(FileWriteTest, AppearsWhenCommitted) {
  AtomicFile file = *AtomicFile::create(target_);
  ASSERT_TRUE(file.write("first ").ok());
  ASSERT_TRUE(file.write("").ok());
  ASSERT_TRUE(file.write("second").ok());
  EXPECT_EQ(file.size(), 12u);
  EXPECT_FALSE(std::filesystem::exists(target_));
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(content(), "first second");
  EXPECT_EQ(files_in_folder(), 1u);
  struct stat status {};
  ASSERT_EQ(::stat(target_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0444u, 0444u) << "others may read it";
}

TEST_F(FileWriteTest, ReplacesWhatWasThere) {
  ASSERT_TRUE(write_file(target_, "old and longer").ok());
  ASSERT_TRUE(write_file(target_, "new").ok());
  EXPECT_EQ(content(), "new");
}

TEST_F(FileWriteTest, ReplacesBytesWrittenBefore) {
  AtomicFile file = *AtomicFile::create(target_);
  ASSERT_TRUE(file.write("0123456789").ok());
  ASSERT_TRUE(file.overwrite(2, as_bytes("ab")).ok());
  ASSERT_TRUE(file.write("more").ok());
  ASSERT_TRUE(file.overwrite(10, as_bytes("MORE")).ok());
  ASSERT_TRUE(file.overwrite(14, {}).ok());
  EXPECT_EQ(file.size(), 14u);
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(content(), "01ab456789MORE");
}

TEST_F(FileWriteTest, ReplacesOnlyWhatWasWritten) {
  AtomicFile file = *AtomicFile::create(target_);
  ASSERT_TRUE(file.write("0123").ok());
  EXPECT_DEATH((void)file.overwrite(3, as_bytes("ab")), "only what was written");
  EXPECT_DEATH((void)file.overwrite(UINT64_MAX, as_bytes("ab")), "only what was written");
}

TEST_F(FileWriteTest, LeavesNothingWhenNotCommitted) {
  ASSERT_TRUE(write_file(target_, "old").ok());
  {
    AtomicFile file = *AtomicFile::create(target_);
    ASSERT_TRUE(file.write("half of the new").ok());
    AtomicFile moved = std::move(file);
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(FileWriteTest, AFullDiskKeepsTheOldFile) {
  ASSERT_TRUE(write_file(target_, "old").ok());
  for (size_t size : {size_t{2000}, size_t{1} << 20}) {  // within the stream's buffer, and far beyond
    const FullDisk disk(1000);
    const Status status = write_file(target_, std::string(size, 'x'));
    ASSERT_FALSE(status.ok()) << size;
    EXPECT_EQ(status.error().kind, ErrorKind::kFailed);
    EXPECT_NE(status.error().message.find(target_.string()), std::string::npos);
    EXPECT_NE(status.error().message.find("free some space"), std::string::npos) << status.error().message;
    EXPECT_EQ(content(), "old");
    EXPECT_EQ(files_in_folder(), 1u);
  }
}

TEST_F(FileWriteTest, ManySmallWritesMeetTheFullDiskToo) {
  ASSERT_TRUE(write_file(target_, "old").ok());
  const FullDisk disk(10000);
  {
    AtomicFile file = *AtomicFile::create(target_);
    Status status = success();
    for (int i = 0; i < 100000 && status.ok(); ++i) status = file.write("small ");
    EXPECT_FALSE(status.ok());
  }
  EXPECT_EQ(content(), "old");
  EXPECT_EQ(files_in_folder(), 1u);
}

TEST_F(FileWriteTest, RefusesAFolderAndAMissingOne) {
  const auto folder = AtomicFile::create(folder_);
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().kind, ErrorKind::kUsage);
  const auto missing = AtomicFile::create(folder_ / "missing" / "file");
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.error().message.find("No such file or directory"), std::string::npos);
}

TEST_F(FileWriteTest, NeverTakesThePlaceOfADeviceOrAPipe) {
  ASSERT_EQ(::mkfifo(target_.c_str(), 0600), 0);
  const auto refused = AtomicFile::create(target_);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
  EXPECT_NE(refused.error().message.find("is no regular file"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(std::filesystem::is_fifo(target_));
  EXPECT_EQ(files_in_folder(), 1u);
}

}  // namespace
}  // namespace carat
