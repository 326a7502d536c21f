#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/check.h"
#include "text/jinja.h"

// Whatever the template: it is refused, or renders twice to the same end.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto variables = nlohmann::ordered_json::parse(R"({
    "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [{"type": "text", "text": "yo"}]}],
    "tools": [{"function": {"name": "f", "parameters": {"properties": {"x": {"type": "string"}}}}}],
    "s": "aé ", "i": 3, "f": 0.5, "none_value": null, "add_generation_prompt": true, "bos_token": "<bos>"})");
  const auto parsed = carat::JinjaTemplate::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!parsed.ok()) return 0;
  const auto first = parsed->render(variables);
  const auto second = parsed->render(variables);
  CARAT_CHECK(first.ok() == second.ok(), "one template, two ends");
  CARAT_CHECK(!first.ok() || *first == *second, "one template, two texts");
  CARAT_CHECK(first.ok() || first.error().message == second.error().message, "one template, two errors");
  return 0;
}
