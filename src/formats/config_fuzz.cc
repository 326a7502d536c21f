#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/model_config.h"
#include "formats/scheme_json.h"

// What is accepted is valid and, if config.json can express it, is written as a file that reads back.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)carat::scheme_from_json(text, "fuzz").ok();
  const auto config = carat::config_from_json(text, "fuzz");
  if (!config.ok()) return 0;
  CARAT_CHECK(carat::validate(*config).ok(), "a config that was read is valid");
  const auto written = carat::config_to_json(*config, "float32");
  if (!written.ok()) return 0;
  const auto again = carat::config_from_json(*written, "written");
  CARAT_CHECK(again.ok() && *carat::config_to_json(*again, "float32") == *written, "not read back as written");
  return 0;
}
