#pragma once

#include <cstddef>
#include <cstdint>

/// What a template may cost. Chat templates in the wild stay below a hundredth of each.
namespace carat::jinja {

inline constexpr size_t kMaxTemplateBytes = size_t{1} << 20;
/// Nesting of statements and expressions in a template, and of lists and dicts in a value.
inline constexpr int kMaxNesting = 100;
/// Nesting of evaluation: macros that call macros. Each level takes a few hundred bytes of stack.
inline constexpr int kMaxDepth = 500;
/// Bytes of the output, and of each string on the way.
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;
/// Elements of a list or a dict.
inline constexpr size_t kMaxItems = size_t{1} << 20;
/// Length of a `range`; the same as in jinja2's sandbox.
inline constexpr int64_t kMaxRange = 100000;
/// Steps of evaluation and units of 16 bytes allocated, together.
inline constexpr uint64_t kMaxWork = uint64_t{16} << 20;

}  // namespace carat::jinja
