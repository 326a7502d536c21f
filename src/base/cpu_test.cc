#include "base/cpu.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <fstream>
#include <string>
#include <thread>

namespace carat {
namespace {

TEST(Cpu, CoresAreAtLeastOneAndNoMoreThanThereAre) {
  EXPECT_GE(available_cores(), 1);
  EXPECT_LE(available_cores(), static_cast<int>(std::thread::hardware_concurrency()));
}

TEST(Cpu, AffinityLowersTheCores) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  int first = 0;
  while (!CPU_ISSET(first, &before)) ++first;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
  EXPECT_EQ(available_cores(), 1);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(Cpu, FeaturesAreThoseThatTheSystemLists) {
  std::ifstream file("/proc/cpuinfo");
  std::string flags;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("flags")) flags = line + " ";
  }
  if (flags.empty()) {
    EXPECT_FALSE(cpu_features().avx2) << "the system lists no x86 flags";
    return;
  }
  EXPECT_EQ(cpu_features().avx2, flags.find(" avx2 ") != std::string::npos);
  EXPECT_EQ(cpu_features().fma, flags.find(" fma ") != std::string::npos);
  EXPECT_EQ(cpu_features().f16c, flags.find(" f16c ") != std::string::npos);
  EXPECT_EQ(cpu_features().sha, flags.find(" sha_ni ") != std::string::npos);
}

}  // namespace
}  // namespace carat
