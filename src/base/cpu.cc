#include "base/cpu.h"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace carat {
namespace {

// cgroup v2: "max 100000" or "<quota> <period>", both in microseconds. 0 when there is no limit.
int cgroup_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  int64_t quota = 0, period = 0;
  if (!(file >> quota >> period) || quota <= 0 || period <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((quota + period - 1) / period, CPU_SETSIZE));
}

int scheduled_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::thread::hardware_concurrency());
}

#if defined(__x86_64__)
// GCC 12 and Clang 14 do not know it by name.
bool has_sha_instructions() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ebx & bit_SHA) != 0;
}
#endif

}  // namespace

CpuFeatures cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  features.avx2 = __builtin_cpu_supports("avx2");
  features.fma = __builtin_cpu_supports("fma");
  features.f16c = __builtin_cpu_supports("f16c");
  features.sha = __builtin_cpu_supports("sse4.1") && has_sha_instructions();
#endif
  return features;
}

int available_cores() {
  const int scheduled = std::max(1, scheduled_cores());
  const int limit = cgroup_cores();
  return limit > 0 ? std::min(scheduled, limit) : scheduled;
}

}  // namespace carat
