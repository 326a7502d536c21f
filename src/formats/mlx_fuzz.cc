#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "formats/mlx_names.h"
#include "formats/mlx_rules.h"

// What is accepted gives each module a form that MLX has, or none. Names are any bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::string inside = carat::module_of_mlx(text);
  CARAT_CHECK(inside.size() <= text.size(), "a name that only loses parts");
  CARAT_CHECK(carat::module_of_weight(carat::weight_of_module(inside)).size() <= inside.size(), "a module's name");

  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  const auto rules = carat::MlxRules::read(json, "fuzz");
  if (!rules.ok()) return 0;
  for (const char* module : {"language_model.model.layers.0.self_attn.q_proj", "model.embed_tokens", "bits", ""}) {
    const auto codes = rules->codes_of(module);
    CARAT_CHECK(codes || !rules->asks_for_codes(module), "codes where they are asked for");
    if (!codes) continue;
    CARAT_CHECK(codes->bits >= 2 && codes->bits <= 8 && codes->bits != 7, "a width of MLX");
    CARAT_CHECK(codes->columns == 32 || codes->columns == 64 || codes->columns == 128, "a group of MLX");
  }
  return 0;
}
