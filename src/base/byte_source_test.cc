#include "base/byte_source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace carat {
namespace {

/// 100 bytes that count up, given as a slow or failing disk would.
class FaultyDisk : public ByteSource {
 public:
  std::string name() const override { return "disk"; }

  size_t most_at_once = 100;
  int interruptions = 0;
  uint64_t fails_from = 1000;

 private:
  ssize_t read_some(uint64_t offset, std::span<std::byte> out) const override {
    constexpr uint64_t kEnd = 100;
    if (interruptions_ < interruptions) {
      ++interruptions_;
      errno = EINTR;
      return -1;
    }
    if (offset >= fails_from) {
      errno = EIO;
      return -1;
    }
    const uint64_t end = std::min(kEnd, fails_from);
    const size_t there = offset < end ? static_cast<size_t>(end - offset) : 0;
    const size_t count = std::min({out.size(), there, most_at_once});
    for (size_t i = 0; i < count; ++i) out[i] = static_cast<std::byte>(offset + i);
    return static_cast<ssize_t>(count);
  }

  mutable int interruptions_ = 0;
};

std::vector<std::byte> counting(size_t first, size_t count) {
  std::vector<std::byte> bytes(count);
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(first + i);
  return bytes;
}

TEST(ByteSource, GoesOnAfterShortAndInterruptedReads) {
  FaultyDisk disk;
  for (const size_t most : {1, 2, 7, 30, 100}) {
    disk.most_at_once = most;
    disk.interruptions += 3;
    std::vector<std::byte> read(30);
    ASSERT_TRUE(disk.read(50, read).ok());
    EXPECT_EQ(read, counting(50, 30));
  }
}

TEST(ByteSource, ReadsUpToTheLastByte) {
  const FaultyDisk disk;
  std::vector<std::byte> read(100);
  ASSERT_TRUE(disk.read(0, read).ok());
  EXPECT_EQ(read, counting(0, 100));
  EXPECT_TRUE(disk.read(100, {}).ok());
}

TEST(ByteSource, TheEndOfTheFileIsAnErrorThatSaysHowMuchWasThere) {
  FaultyDisk disk;
  disk.most_at_once = 3;
  std::vector<std::byte> read(30);
  const Status status = disk.read(80, read);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind, ErrorKind::kFailed);
  EXPECT_EQ(status.error().message, "disk: 30 bytes at offset 80 could not be read: the file ends after 20 of them");
}

TEST(ByteSource, AnErrorOfTheDiskIsNamed) {
  FaultyDisk disk;
  disk.fails_from = 57;
  std::vector<std::byte> read(10);
  const Status status = disk.read(50, read);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message,
            "disk: 10 bytes at offset 50 could not be read: Input/output error after 7 of them");
}

}  // namespace
}  // namespace carat
