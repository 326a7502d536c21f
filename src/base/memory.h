#pragma once

#include <cstdint>

namespace carat {

/// The most physical memory that this process has held so far, mapped files included, in bytes; 0 where the
/// system does not tell.
uint64_t peak_rss_bytes();

}  // namespace carat
