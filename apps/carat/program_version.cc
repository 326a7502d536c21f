#include "program_version.h"

namespace carat {

std::string program_version() { return std::string("carat ") + CARAT_VERSION; }

}  // namespace carat
