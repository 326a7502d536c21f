#include "base/memory.h"

#include <sys/resource.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cstdio>
#include <fstream>
#include <string>
#include <unordered_map>

namespace carat {
namespace {

/// Sums over the mappings of one name in /proc/self/smaps.
struct Mapped {
  uint64_t kibibytes = 0;
  uint64_t resident = 0;
  bool executable = false;
};

std::unordered_map<std::string, Mapped> read_mappings() {
  std::unordered_map<std::string, Mapped> mappings;
  std::ifstream file("/proc/self/smaps");
  Mapped* current = nullptr;
  for (std::string line; std::getline(file, line);) {
    unsigned long long number = 0;
    char execute = 0;
    int name = 0;
    if (std::sscanf(line.c_str(), "%*x-%*x %*2c%c%*c %*x %*x:%*x %*u%n", &execute, &name) == 1 && name > 0) {
      const size_t path = line.find('/', static_cast<size_t>(name));
      current = &mappings[path == std::string::npos ? std::string() : line.substr(path)];
      current->executable |= execute == 'x' && path != std::string::npos;
    } else if (current != nullptr && std::sscanf(line.c_str(), "Size: %llu kB", &number) == 1) {
      current->kibibytes += number;
    } else if (current != nullptr && std::sscanf(line.c_str(), "Rss: %llu kB", &number) == 1) {
      current->resident += number;
    }
  }
  return mappings;
}

}  // namespace

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

uint64_t held_bytes() {
  uint64_t kibibytes = 0;
  for (const auto& [name, mapped] : read_mappings()) {
    kibibytes += mapped.executable ? mapped.kibibytes : mapped.resident;
  }
  return kibibytes * 1024;
}

void release_free_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

}  // namespace carat
