#include "formats/verify_config.h"

#include <algorithm>

#include "formats/quote.h"

namespace carat {
namespace {

class Contradictions {
 public:
  void compare(const std::string& what, int64_t a, int64_t b) {
    if (a != b) add(what, std::to_string(a), std::to_string(b));
  }

  void compare_numbers(const std::string& what, float a, float b) {
    if (a != b) add(what, number_text(a), number_text(b));
  }

  void add(const std::string& what, const std::string& a, const std::string& b) {
    found_.push_back(what + ": " + a + " and " + b);
  }

  std::vector<std::string> take() { return std::move(found_); }

 private:
  std::vector<std::string> found_;
};

std::string attention_name(AttentionType type) { return type == AttentionType::kFull ? "full" : "sliding"; }

void compare_layers(const LayerConfig& a, const LayerConfig& b, size_t index, Contradictions& found) {
  const std::string layer = "layer " + std::to_string(index) + ": ";
  if (a.attention != b.attention) {
    found.add(layer + "attention", attention_name(a.attention), attention_name(b.attention));
  }
  found.compare(layer + "key-value heads", a.kv_heads, b.kv_heads);
  found.compare(layer + "head width", a.head_width, b.head_width);
  found.compare(layer + "feed-forward width", a.ffn_width, b.ffn_width);
  found.compare(layer + "the layer whose keys and values it reads", a.kv_layer, b.kv_layer);
  if (a.value_is_key != b.value_is_key) {
    found.add(layer + "values", a.value_is_key ? "the keys" : "their own", b.value_is_key ? "the keys" : "their own");
  }
}

}  // namespace

std::vector<std::string> config_contradictions(const ModelConfig& a, const ModelConfig& b) {
  Contradictions found;
  found.compare("vocabulary", a.vocabulary, b.vocabulary);
  found.compare("layers", a.layer_count(), b.layer_count());
  found.compare("hidden width", a.hidden, b.hidden);
  found.compare("query heads", a.heads, b.heads);
  found.compare("per-layer width", a.per_layer_width, b.per_layer_width);
  found.compare("experts", a.experts, b.experts);
  found.compare("experts of a token", a.experts_used, b.experts_used);
  found.compare("width of an expert", a.expert_width, b.expert_width);
  found.compare("sliding window", a.sliding_window, b.sliding_window);
  found.compare_numbers("epsilon of norms", a.rms_epsilon, b.rms_epsilon);
  found.compare_numbers("soft-cap of logits", a.softcap, b.softcap);
  found.compare_numbers("rotary base of sliding layers", a.rope_theta_sliding, b.rope_theta_sliding);
  found.compare_numbers("rotary base of full layers", a.rope_theta_full, b.rope_theta_full);
  found.compare_numbers("rotating part of full heads", a.full_rotary_fraction, b.full_rotary_fraction);
  for (size_t layer = 0; layer < std::min(a.layers.size(), b.layers.size()); ++layer) {
    compare_layers(a.layers[layer], b.layers[layer], layer, found);
  }
  return found.take();
}

std::vector<std::string> vocabulary_contradictions(const Vocabulary& a, const Vocabulary& b) {
  Contradictions found;
  found.compare("pieces", a.size(), b.size());
  const size_t both = std::min(a.pieces.size(), b.pieces.size());
  size_t differ = 0, first = 0;
  for (size_t id = both; id-- > 0;) {
    if (a.pieces[id] == b.pieces[id]) continue;
    ++differ;
    first = id;
  }
  if (differ == 0) return found.take();
  found.add("pieces: " + std::to_string(differ) + " of " + std::to_string(both) + " differ, the first is id " +
                std::to_string(first),
            in_quotes(a.pieces[first]), in_quotes(b.pieces[first]));
  return found.take();
}

}  // namespace carat
