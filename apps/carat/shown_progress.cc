#include "shown_progress.h"

#include <memory>
#include <optional>

#include "interrupt.h"
#include "progress.h"

namespace carat {

std::function<bool(uint64_t, uint64_t)> shown_progress(const std::string& label, const std::string& unit) {
  const auto line = std::make_shared<std::optional<Progress>>();
  return [=, &interrupted = watch_interrupts()](uint64_t done, uint64_t total) {
    if (!*line) line->emplace(label, unit, static_cast<int64_t>(total));
    (*line)->update(static_cast<int64_t>(done));
    return !interrupted;
  };
}

}  // namespace carat
