#include "output.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace carat {

Status write_output(std::string_view text) {
  const size_t written = std::fwrite(text.data(), 1, text.size(), stdout);
  if (written == text.size() && std::fflush(stdout) == 0) return success();
  return failed("standard output: cannot be written: " + std::string(std::strerror(errno)));
}

void write_note(const std::string& line) { std::fprintf(stderr, "%s\n", line.c_str()); }

Status write_output_json(const nlohmann::ordered_json& object) {
  // Names in a model file may be no valid UTF-8.
  return write_output(object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace carat
