#pragma once

#include "base/bytes.h"

namespace carat {

/// Gives the memory of these bytes back to the system; they are read from their file again when somebody touches
/// them. For work that passes once over a file larger than the memory. `bytes` lie in a `FileMap`.
void release_mapped_pages(Bytes bytes);

}  // namespace carat
