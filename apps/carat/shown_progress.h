#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace carat {

/// A callback for work of the library: it shows how far that is in a line of its own (`Progress`), from the first call
/// on, and stops it on Ctrl-C.
std::function<bool(uint64_t done, uint64_t total)> shown_progress(const std::string& label, const std::string& unit);

}  // namespace carat
