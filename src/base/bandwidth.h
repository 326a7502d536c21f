#pragma once

#include <cstdint>

#include "base/threads.h"

namespace carat {

/// What the threads together read of memory in a second, in bytes: they go through one buffer of `buffer` bytes, which
/// is to be larger than the caches, again and again for about `seconds`, and the fastest of these passes counts. 0 when
/// there is no memory for the buffer.
double read_bandwidth(ThreadPool& threads, uint64_t buffer, double seconds);

/// A buffer for `read_bandwidth`: four times the largest cache, from 64 to 512 MiB, but no more than a quarter of
/// `available` bytes.
uint64_t bandwidth_buffer(uint64_t available);

}  // namespace carat
