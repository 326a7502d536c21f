#pragma once

#include <cstdint>
#include <filesystem>

namespace carat {

/// Physical memory that this process can still take without swapping, in bytes: MemAvailable of /proc/meminfo, lowered
/// by what the limits of its control groups (version 1 or 2, with all groups above) leave. A group's file cache that
/// nobody uses counts as free, as it does in MemAvailable. 0 where the system tells neither.
///
/// `root` is what /proc and /sys lie in; only tests give another.
uint64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace carat
