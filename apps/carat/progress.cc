#include "progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "figures.h"

namespace carat {
namespace {

using namespace std::chrono_literals;

constexpr auto kSilence = 1s;
constexpr auto kTerminalInterval = 200ms;
constexpr auto kPlainInterval = 3s;
// Returns to the first column and clears the line.
constexpr const char* kRewrite = "\r\033[K";

}  // namespace

Progress::Progress(std::string label, std::string unit, int64_t total, int64_t first)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      first_(first),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      due_(start_ + (terminal_ ? Clock::duration(kSilence) : Clock::duration(kPlainInterval))) {}

Progress::~Progress() {
  if (terminal_ && shown_) std::fputs(kRewrite, stderr);
}

void Progress::update(int64_t done, const std::string& detail) {
  const Clock::time_point now = Clock::now();
  if (now < due_) return;
  due_ = now + (terminal_ ? Clock::duration(kTerminalInterval) : Clock::duration(kPlainInterval));
  shown_ = true;
  const std::string text = line(done, detail, std::chrono::duration<double>(now - start_).count());
  std::fprintf(stderr, terminal_ ? "%s%s" : "%s%s\n", terminal_ ? kRewrite : "", text.c_str());
  std::fflush(stderr);
}

std::string Progress::line(int64_t done, const std::string& detail, double elapsed) const {
  const double rate = elapsed > 0 ? static_cast<double>(done - first_) / elapsed : 0.0;
  std::string text = label_ + ": " + std::to_string(done) + " of " + std::to_string(total_) + " " + unit_ + ", " +
                     rate_text(rate) + " " + unit_ + "/s";
  if (!detail.empty()) text += ", " + detail;
  if (rate > 0) text += ", " + duration_text(static_cast<double>(total_ - done) / rate) + " left";
  return text;
}

}  // namespace carat
