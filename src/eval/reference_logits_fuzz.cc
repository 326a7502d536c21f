#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "eval/reference_logits.h"

// What is accepted has all the rows that it says it has, and finite logits in those that are not refused.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int file = memfd_create("fuzz", 0);
  CARAT_CHECK(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == static_cast<ssize_t>(size), "a file in memory");
  const auto logits = carat::ReferenceLogits::open("/proc/self/fd/" + std::to_string(file));
  if (!logits.ok()) return 0;
  std::vector<float> row(static_cast<size_t>(logits->header().vocabulary));
  for (int64_t r = 0; r < std::min<int64_t>(logits->header().predictions, 100); ++r) {
    if (!logits->read(r, row).ok()) continue;
    CARAT_CHECK(std::ranges::all_of(row, [](float logit) { return std::isfinite(logit); }), "logits that are finite");
  }
  return 0;
}
