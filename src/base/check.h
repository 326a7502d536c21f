#pragma once

#include <cstdio>
#include <cstdlib>

/// Ends the process with a message when `condition` is false.
///
/// For mistakes that only this code can make (a broken precondition, an impossible state). Whatever the
/// outside world can cause (a file's bytes, arguments, a full disk) is a `Result` instead; no input may reach
/// a failing check.
#define CARAT_CHECK(condition, message)                                                                  \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      std::fprintf(stderr, "%s:%d: internal error: %s (%s)\n", __FILE__, __LINE__, message, #condition); \
      std::abort();                                                                                      \
    }                                                                                                    \
  } while (false)
