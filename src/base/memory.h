#pragma once

#include <cstdint>

namespace carat {

/// The most physical memory that this process has held so far, mapped files included, in bytes; 0 where the
/// system does not tell.
uint64_t peak_rss_bytes();

/// What this process holds now, in bytes, with every page of the program and its libraries counted as if it had been
/// used already: what it will hold at least when it goes on. 0 where the system does not tell.
uint64_t held_bytes();

/// Gives memory that was freed and is kept for the next allocation back to the system. For the end of work that needs
/// much for a moment.
void release_free_memory();

}  // namespace carat
