#pragma once

#include <string>
#include <vector>

namespace carat {

/// The rows, the first of which has the titles, as lines of aligned columns with two spaces between them: the first
/// column to the left, the others to the right. A character counts as one column wide, whatever its bytes; a row may
/// have fewer cells than the titles.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

}  // namespace carat
