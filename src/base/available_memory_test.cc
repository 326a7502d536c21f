#include "base/available_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace carat {
namespace {

namespace fs = std::filesystem;

/// A folder with the files of /proc and /sys that a test writes.
class AvailableMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("carat-available-" + std::to_string(::getpid()));
    write("proc/meminfo", "MemTotal:  9000000 kB\nMemFree:  10 kB\nMemAvailable:  8000000 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  fs::path root_;
};

constexpr uint64_t kMachine = uint64_t{8000000} * 1024;

TEST_F(AvailableMemory, IsThatOfTheMachineWithoutGroups) { EXPECT_EQ(available_memory(root_), kMachine); }

TEST_F(AvailableMemory, IsNoneWhereNothingTells) {
  fs::remove_all(root_ / "proc");
  EXPECT_EQ(available_memory(root_), 0u);
}

TEST_F(AvailableMemory, AGroupOfVersion2LeavesItsLimitLessWhatIsUsed) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/memory.max", "1000000\n");
  write("sys/fs/cgroup/a/b/memory.current", "400000\n");
  EXPECT_EQ(available_memory(root_), 600000u);
  write("sys/fs/cgroup/a/b/memory.stat", "anon 100\ninactive_file 150000\nactive_file 7\n");
  EXPECT_EQ(available_memory(root_), 750000u) << "idle cache can be dropped";
  write("sys/fs/cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(available_memory(root_), kMachine);
}

TEST_F(AvailableMemory, TheTightestGroupAboveCounts) {
  write("proc/self/cgroup", "0::/a/b\n");
  for (const char* group : {"", "/a", "/a/b"}) {
    write(std::string("sys/fs/cgroup") + group + "/memory.max", "3000000");
    write(std::string("sys/fs/cgroup") + group + "/memory.current", "1000000");
  }
  write("sys/fs/cgroup/a/memory.max", "1500000");
  EXPECT_EQ(available_memory(root_), 500000u);
  write("sys/fs/cgroup/memory.max", "1200000");
  EXPECT_EQ(available_memory(root_), 200000u);
}

TEST_F(AvailableMemory, AGroupOfVersion1IsThatOfTheMemoryController) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/y\n0::/\n");
  write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "10");
  write("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "0");
  write("sys/fs/cgroup/memory/y/memory.limit_in_bytes", "2000000");
  write("sys/fs/cgroup/memory/y/memory.usage_in_bytes", "1900000");
  write("sys/fs/cgroup/memory/y/memory.stat", "inactive_file 1\ntotal_inactive_file 400000\n");
  EXPECT_EQ(available_memory(root_), 500000u);
}

TEST_F(AvailableMemory, APathOfTheMachineOutsideAContainerFallsBackToTheTop) {
  write("proc/self/cgroup", "0::/docker/0123\n");
  write("sys/fs/cgroup/memory.max", "5000");
  write("sys/fs/cgroup/memory.current", "6000");
  EXPECT_EQ(available_memory(root_), 0u) << "more is used than the limit allows";
}

TEST_F(AvailableMemory, ThisMachineHasSome) { EXPECT_GT(available_memory(), uint64_t{1} << 20); }

}  // namespace
}  // namespace carat
