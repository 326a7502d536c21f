#pragma once

namespace carat {

/// From now on the process ends with a plain message and the exit code of failed reading when it touches pages of a
/// mapped file that are no longer there: the file became shorter, or its disk failed. Without this a signal ends it.
void report_vanished_pages();

}  // namespace carat
