#include "formats/gguf_gemma4.h"

#include <algorithm>

#include "base/mapped_pages.h"
#include "formats/gguf_scales.h"
#include "formats/names.h"
#include "formats/quote.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

/// The number that llama.cpp has for a file whose matrices are mostly of one type (llama.cpp: include/llama.h, enum
/// llama_ftype; of the variants of a type the plainest).
uint32_t file_type_of(DType dtype) {
  constexpr uint32_t kNumbers[kGgufDTypes] = {0, 1, 32, 2, 3, 8, 9, 7, 10, 12, 15, 17, 18, 37, 41};
  return kNumbers[static_cast<size_t>(dtype)];
}

/// By the type of the embedding, which every scheme stores as it stores most matrices.
uint32_t file_type(const std::vector<TensorSpec>& tensors) {
  for (const TensorSpec& tensor : tensors) {
    if (tensor.name == "model.embed_tokens.weight") return file_type_of(tensor.dtype);
  }
  return 0;
}

TensorSpec rope_factors_spec(const std::vector<float>& factors) {
  return {kRopeFactorsName, DType::kF32, {static_cast<int64_t>(factors.size())}};
}

bool lies_beside_blocks(const std::string& name) { return is_static_scale(name) || is_exact_scale(name); }

/// What comes in front of the tensors, and where it has room for the digest of the file.
struct Header {
  std::string bytes;
  uint64_t digest_begin = 0;
};

Result<Header> header_of(const ModelConfig& config, const Vocabulary& vocabulary,
                         const std::vector<TensorSpec>& tensors, const std::vector<float>& factors) {
  GgufHeader header;
  header.add_string("general.architecture", "gemma4");
  header.add_string("general.type", "model");
  header.add_u32("general.file_type", file_type(tensors));
  header.add_u32("general.quantization_version", 2);
  header.add_string(kGgufDigestKey, std::string(kSha256Digits, '0'));
  const uint64_t digest_end = header.entries_end();
  CARAT_TRY_STATUS(add_config(config, header));
  CARAT_TRY_STATUS(add_vocabulary(vocabulary, header));
  if (std::ranges::any_of(tensors, lies_beside_blocks, &TensorSpec::name)) {
    header.add_string(kStaticScalesKey, kStaticScalesVersion);
  }
  if (!factors.empty()) header.add_tensor(rope_factors_spec(factors));
  for (const TensorSpec& tensor : tensors) {
    const auto name = gguf_name_from_hf(tensor.name);
    CARAT_CHECK(name.has_value(), "a tensor that GGUF has a name for");
    header.add_tensor({*name, tensor.dtype, tensor.shape.empty() ? Shape{1} : tensor.shape});
  }
  return Header{header.bytes(), digest_end - kSha256Digits};
}

}  // namespace

Result<CheckpointContent> read_gemma4_gguf(const fs::path& path) {
  CARAT_TRY(GgufFile file, GgufFile::open(path));
  const GgufFields fields(file.entries(), path.string());
  CheckpointContent content;
  CARAT_TRY(content.config, config_from_gguf(fields, file.tensors()));
  CARAT_TRY(content.vocabulary, vocabulary_from_gguf(fields, path.string()));
  for (const NamedTensor& tensor : file.tensors()) {
    if (tensor.name == kRopeFactorsName) continue;
    const auto name = hf_name_from_gguf(tensor.name);
    if (!name || *name == "lm_head.weight") {
      return fields.refusal(tensor.name, name ? "a head apart from the embedding is not supported"
                                              : "is no tensor of a Gemma 4 text model that is supported");
    }
    if (!lies_beside_blocks(*name)) content.tensors.push_back({*name, tensor.view});
  }
  CARAT_TRY(std::vector<NamedTensor> scales, scales_from_gguf(fields, file.tensors()));
  std::ranges::move(scales, std::back_inserter(content.tensors));
  // The texts of half a million merges were read from pages that nobody needs again.
  const auto maps = std::make_shared<const std::vector<FileMap>>(file.take_maps());
  for (const FileMap& map : *maps) {
    release_mapped_pages(map.bytes());
    content.files.push_back(&map);
  }
  content.storage = maps;
  return content;
}

Result<uint64_t> write_gemma4_gguf(const fs::path& target, const ModelConfig& config, const Vocabulary& vocabulary,
                                   const std::vector<TensorSpec>& tensors, const TensorProducer& producer) {
  const std::vector<float> factors = rope_factors(config);
  const auto produce_factors = [&](const TensorSpec&, const ByteSink& sink) {
    return sink(std::as_bytes(std::span(factors)));
  };
  CARAT_TRY(const Header header, header_of(config, vocabulary, tensors, factors));
  CARAT_TRY(DigestedFile file, DigestedFile::create(target));
  CARAT_TRY_STATUS(file.write(header.bytes));
  if (!factors.empty())
    CARAT_TRY_STATUS(write_tensor(file, rope_factors_spec(factors), produce_factors, kGgufAlignment));
  for (const TensorSpec& tensor : tensors) CARAT_TRY_STATUS(write_tensor(file, tensor, producer, kGgufAlignment));
  CARAT_TRY_STATUS(file.overwrite(header.digest_begin, as_bytes(file.digest())));
  CARAT_TRY_STATUS(file.commit());
  return file.size();
}

}  // namespace carat
