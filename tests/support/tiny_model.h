#pragma once

#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/checkpoint.h"
#include "lattice/lattice.h"
#include "lattice/scheme.h"

/// Complete models of a few kilobytes, for tests that need a file:
///
///     TemporaryFolder folder;
///     TinyModel model({.pattern = "SSFSF", .shared = 2}, /*seed=*/1);
///     model.write(folder / "model.gguf", "q4_0").value();
///     TinyModel experts({.shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 8}, /*seed=*/1);
///
/// Every number is fixed by the seed and the tensor's name.

namespace carat {

/// A folder that is removed, with all it holds, at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static std::atomic<int> count{0};
    path_ = std::filesystem::temp_directory_path() /
            ("carat-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// Widths are multiples of 32 by default, so that every matrix has a Q4_0 form.
struct TinyShape {
  std::string pattern = "SSFSSF";  ///< one letter a layer: S sliding, F full; the last one is F
  int64_t shared = 2;              ///< trailing layers without keys and values of their own
  int64_t hidden = 64;
  int64_t heads = 4;
  int64_t kv_heads = 2;
  int64_t head_width = 32;
  int64_t full_head_width = 64;
  int64_t ffn_width = 96;
  bool double_wide = true;  ///< sharing layers have twice the feed-forward width
  int64_t per_layer_width = 32;
  bool value_is_key = false;  ///< full layers have no value projection
  int64_t full_kv_heads = 0;  ///< of full layers; 0 for as many as the others
  int64_t experts = 0;        ///< of each layer; 0 for none
  int64_t experts_used = 2;
  int64_t expert_width = 32;
  int64_t window = 8;
  int64_t context = 256;
};

/// Base pieces, a few of the chat pieces, all bytes, some letters and merges; types and scores as tokenizer.json
/// gives them.
inline Vocabulary tiny_vocabulary() {
  Vocabulary vocabulary;
  const auto add = [&](std::string piece, PieceType type) {
    const bool special = type == PieceType::kControl || type == PieceType::kUserDefined;
    vocabulary.scores.push_back(special ? -1000.0f : -static_cast<float>(vocabulary.pieces.size()));
    vocabulary.pieces.push_back(std::move(piece));
    vocabulary.types.push_back(type);
    return vocabulary.size() - 1;
  };
  vocabulary.padding = add("<pad>", PieceType::kControl);
  vocabulary.eos = add("<eos>", PieceType::kControl);
  vocabulary.bos = add("<bos>", PieceType::kControl);
  vocabulary.unknown = add("<unk>", PieceType::kControl);
  vocabulary.mask = add("<mask>", PieceType::kControl);
  add("<|turn>", PieceType::kControl);
  const int32_t end_of_turn = add("<turn|>", PieceType::kControl);
  const int32_t tool_response = add("<|tool_response>", PieceType::kUserDefined);
  for (int byte = 0; byte < 256; ++byte) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    add(std::string("<0x") + kDigits[static_cast<size_t>(byte / 16)] + kDigits[static_cast<size_t>(byte % 16)] + ">",
        PieceType::kByte);
  }
  const int32_t space = add("\u2581", PieceType::kNormal);
  const int32_t a = add("a", PieceType::kNormal);
  const int32_t b = add("b", PieceType::kNormal);
  const int32_t ab = add("ab", PieceType::kNormal);
  add("\u2581ab", PieceType::kNormal);
  add("\n", PieceType::kNormal);
  vocabulary.merges = {{a, b}, {space, ab}};
  vocabulary.stop = {vocabulary.eos, end_of_turn, tool_response};
  vocabulary.chat_template =
      "{{ bos_token }}{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}";
  return vocabulary;
}

inline ModelConfig tiny_config(const TinyShape& shape, int64_t vocabulary) {
  ModelConfig config;
  config.vocabulary = vocabulary;
  config.hidden = shape.hidden;
  config.heads = shape.heads;
  config.per_layer_width = shape.per_layer_width;
  config.sliding_window = shape.window;
  config.context = shape.context;
  config.softcap = 30.0f;
  if (shape.experts > 0) {
    config.experts = shape.experts;
    config.experts_used = shape.experts_used;
    config.expert_width = shape.expert_width;
  }
  for (const char letter : shape.pattern) {
    const bool full = letter == 'F';
    const int64_t full_kv_heads = shape.full_kv_heads > 0 ? shape.full_kv_heads : shape.kv_heads;
    config.layers.push_back({.attention = full ? AttentionType::kFull : AttentionType::kSliding,
                             .kv_heads = full ? full_kv_heads : shape.kv_heads,
                             .head_width = full ? shape.full_head_width : shape.head_width,
                             .ffn_width = shape.ffn_width,
                             .value_is_key = full && shape.value_is_key});
  }
  CARAT_CHECK(assign_kv_layers(config, shape.shared).ok(), "a shape that can share its keys and values");
  for (size_t i = 0; i < config.layers.size(); ++i) {
    if (shape.double_wide && !config.owns_kv(i)) config.layers[i].ffn_width *= 2;
  }
  CARAT_CHECK(validate(config).ok(), "a valid shape");
  return config;
}

struct TinyModel {
  explicit TinyModel(const TinyShape& shape = {}, uint32_t model_seed = 0)
      : vocabulary(tiny_vocabulary()), config(tiny_config(shape, vocabulary.size())), seed(model_seed) {}

  /// Bell-shaped values; matrices have variance 1 / columns, vectors lie around 1.
  std::vector<float> values(const TensorSpec& spec) const {
    const size_t name_hash = std::hash<std::string>{}(spec.name);
    std::mt19937 random(static_cast<uint32_t>(name_hash) ^ (seed * 2654435761u));
    const bool matrix = spec.shape.size() > 1;
    const double scale = matrix ? 1.0 / std::sqrt(static_cast<double>(spec.shape.back())) : 0.1;
    std::vector<float> drawn(static_cast<size_t>(*element_count(spec.shape)));
    for (float& value : drawn) {
      const double uniforms =
          static_cast<double>(random()) + static_cast<double>(random()) + static_cast<double>(random());
      value = static_cast<float>((matrix ? 0.0 : 1.0) + scale * (uniforms / 4294967296.0 - 1.5) * 2.0);
    }
    return drawn;
  }

  /// Writes the model with its weights rounded to a built-in scheme.
  Result<uint64_t> write(const std::filesystem::path& target, std::string_view scheme_name) const {
    const Scheme* scheme = built_in_scheme(scheme_name);
    CARAT_CHECK(scheme != nullptr, "a built-in scheme");
    ModelConfig named = config;
    named.scheme = scheme->name;
    std::vector<TensorSpec> tensors = expected_tensors(config);
    for (TensorSpec& spec : tensors) {
      spec.dtype = storable(container_of_path(target), scheme->lattice_of(spec.name), spec.name, spec.shape);
    }
    return write_checkpoint(target, named, vocabulary, tensors, [&](const TensorSpec& spec, const ByteSink& sink) {
      std::vector<float> drawn = values(spec);
      snap(scheme->lattice_of(spec.name), drawn, drawn);
      std::vector<std::byte> stored(*tensor_bytes(spec.dtype, spec.shape));
      encode(spec.dtype, drawn, stored);
      return sink(stored);
    });
  }

  Vocabulary vocabulary;
  ModelConfig config;
  uint32_t seed;
};

}  // namespace carat
