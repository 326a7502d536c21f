#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/compressed_tensors_rules.h"

// What is accepted gives each module a group of the configuration, or none.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return 0;
  const auto rules = carat::CompressedRules::read(json, "fuzz");
  if (!rules.ok()) return 0;
  for (const char* module : {"model.language_model.layers.0.self_attn.q_proj", "lm_head", "model.embed_tokens", ""}) {
    for (const auto module_class : {carat::ModuleClass::kLinear, carat::ModuleClass::kEmbedding}) {
      const carat::CompressedGroup* group = rules->group_of(module, module_class);
      if (group == nullptr) continue;
      CARAT_CHECK(group >= rules->groups().data() && group < rules->groups().data() + rules->groups().size(),
                  "a group of the configuration");
      CARAT_CHECK(carat::is_code_type(group->codes) && group->columns >= 0, "codes with scales for whole columns");
    }
  }
  return 0;
}
