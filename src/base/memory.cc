#include "base/memory.h"

#include <sys/resource.h>

#include <fstream>
#include <string>

namespace carat {

uint64_t peak_rss_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string key; status >> key;) {
    uint64_t kibibytes = 0;
    if (key == "VmHWM:" && status >> kibibytes) return kibibytes * 1024;
  }
  // Linux counts ru_maxrss in KiB; unlike VmHWM it can carry over the peak of the program that started this one.
  rusage usage{};
  return ::getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

}  // namespace carat
