#pragma once

#include <cstdint>

namespace carat {

/// How far an answer has come.
struct AnswerProgress {
  double seconds = 0;  ///< since the prompt was read
  int64_t tokens = 0;  ///< generated
};

}  // namespace carat
