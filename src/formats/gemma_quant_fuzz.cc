#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/file_map.h"
#include "formats/gemma_quant.h"
#include "formats/quantization_config.h"
#include "formats/safetensors.h"

namespace {

// A folder that transformers wrote, whose rules are replaced.
struct Folder {
  std::filesystem::path path = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden/mobile/e2b_1";
  std::string config_json = carat::read_text_file(path / "config.json", 1 << 20).value();
  carat::ModelConfig config = carat::config_from_json(config_json, "config.json").value();
  carat::SafetensorsFile file = carat::SafetensorsFile::open(path / "model.safetensors").value();
};

}  // namespace

// What is accepted gives every tensor of codes the bytes and the scales of its shape.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto quantization = carat::quantization_from_json(text, "fuzz");
  if (!quantization.ok() || quantization->method != carat::QuantMethod::kGemma) return 0;
  const auto tensors = carat::tensors_of_gemma_quant(folder.file.tensors(), quantization->json, folder.config, "fuzz");
  if (!tensors.ok()) return 0;
  for (const auto& [name, view] : *tensors) {
    CARAT_CHECK(view.data.size() == carat::tensor_bytes(view.dtype, view.shape), "all data of a tensor");
    if (!carat::is_code_type(view.dtype)) continue;
    const auto scales = static_cast<uint64_t>(view.rows() * view.scales.groups);
    CARAT_CHECK(view.scales.groups >= 1 && view.scales.data.size() == scales * sizeof(float), "all scales of a tensor");
  }
  return 0;
}
