#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "formats/litertlm_gemma4.h"
#include "formats/protobuf.h"
#include "formats/sentencepiece.h"

namespace carat {
namespace {

// The published bundles have a dozen kilobytes.
constexpr size_t kLargestMetadata = size_t{4} << 20;

/// Reads the message LlmMetadata (google-ai-edge/LiteRT-LM: runtime/proto/llm_metadata.proto). Fields that Carat has no
/// use for are passed over.
class MetadataReader {
 public:
  MetadataReader(std::string source, Vocabulary& vocabulary)
      : source_(std::move(source)), vocabulary_(vocabulary), end_of_text_(vocabulary.eos) {}

  Status read(Bytes bytes) {
    std::vector<int32_t> stop;
    ProtoReader reader(bytes, source_);
    while (!reader.at_end()) {
      CARAT_TRY(const ProtoField field, reader.next());
      CARAT_TRY_STATUS(take(field, stop));
    }
    if (stop.empty()) return success();
    if (std::ranges::find(stop, end_of_text_) == stop.end()) stop.insert(stop.begin(), end_of_text_);
    vocabulary_.stop = std::move(stop);
    return success();
  }

 private:
  static constexpr uint32_t kStopTokens = 2, kSampler = 4, kTemplate = 7, kSuppressed = 9;
  static constexpr size_t kMostStops = 256;

  Error error(const std::string& message) const { return refused(source_ + ": " + message); }

  Status take(const ProtoField& field, std::vector<int32_t>& stop) {
    const auto content = field.text();
    if (!content) return success();
    switch (field.number) {
      case kStopTokens:
        return add_stop(*content, stop);
      case kSampler:
        return read_sampler(*content);
      case kTemplate:
        return take_template(as_text(*content));
      case kSuppressed:
        return add_ids(*content, vocabulary_.suppressed);
      default:
        return success();
    }
  }

  /// Ids (field 1), of which one alone is a stop token, or the text of a piece (field 2). Longer texts and sequences
  /// have no place in a vocabulary.
  Status add_stop(Bytes bytes, std::vector<int32_t>& stop) {
    if (++stop_tokens_ > kMostStops) return error("stop_tokens: more than " + std::to_string(kMostStops));
    ProtoReader reader(bytes, source_ + ": stop_tokens");
    std::vector<int32_t> ids;
    std::string_view text;
    while (!reader.at_end()) {
      CARAT_TRY(const ProtoField field, reader.next());
      const auto content = field.text();
      if (content && field.number == 1) CARAT_TRY_STATUS(add_ids(*content, ids));
      if (content && field.number == 2) text = as_text(*content);
    }
    const auto piece = std::ranges::find(vocabulary_.pieces, text);
    if (ids.empty() && piece != vocabulary_.pieces.end()) {
      ids.push_back(static_cast<int32_t>(piece - vocabulary_.pieces.begin()));
    }
    if (ids.size() == 1 && std::ranges::find(stop, ids.front()) == stop.end()) stop.push_back(ids.front());
    return success();
  }

  /// Numbers one by one or packed into one field.
  Status add_ids(Bytes bytes, std::vector<int32_t>& ids) const {
    ProtoReader reader(bytes, source_ + ": token ids");
    while (!reader.at_end()) {
      CARAT_TRY(const ProtoField field, reader.next());
      if (field.number != 1) continue;
      if (const auto id = field.integer()) CARAT_TRY_STATUS(add_id(*id, ids));
      if (const auto packed = field.text()) {
        ByteReader numbers(*packed);
        while (numbers.remaining() > 0) {
          CARAT_TRY(const int64_t id, packed_number(numbers));
          CARAT_TRY_STATUS(add_id(id, ids));
        }
      }
    }
    return success();
  }

  Result<int64_t> packed_number(ByteReader& numbers) const {
    uint64_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const auto byte = numbers.read<uint8_t>();
      if (!byte) break;
      value |= uint64_t{*byte & 0x7Fu} << shift;
      if (*byte < 0x80) return static_cast<int64_t>(value);
    }
    return error("token ids: a number that does not end or is no id; the file is damaged");
  }

  Status add_id(int64_t id, std::vector<int32_t>& ids) const {
    if (id < 0 || id >= vocabulary_.size()) {
      return error("token id " + std::to_string(id) + ", expected 0 to " + std::to_string(vocabulary_.size() - 1));
    }
    ids.push_back(static_cast<int32_t>(id));
    return success();
  }

  Status read_sampler(Bytes bytes) {
    SamplingDefaults sampling = vocabulary_.sampling;
    ProtoReader reader(bytes, source_ + ": sampler_params");
    while (!reader.at_end()) {
      CARAT_TRY(const ProtoField field, reader.next());
      if (field.number == 2 && field.integer())
        sampling.top_k = static_cast<int32_t>(std::clamp<int64_t>(*field.integer(), 0, kLargestVocabulary));
      if (field.number == 3 && field.number32()) sampling.top_p = *field.number32();
      if (field.number == 4 && field.number32()) sampling.temperature = *field.number32();
    }
    const bool meaningful =
        sampling.temperature >= 0 && std::isfinite(sampling.temperature) && sampling.top_p > 0 && sampling.top_p <= 1;
    if (!meaningful) return error("sampler_params: expected a temperature of 0 or more and a p in (0, 1]");
    vocabulary_.sampling = sampling;
    return success();
  }

  Status take_template(std::string_view text) {
    if (text.size() > kLongestChatTemplate || !is_valid_utf8(text)) {
      return error("jinja_prompt_template: expected at most " + std::to_string(kLongestChatTemplate) +
                   " bytes of UTF-8, found " + std::to_string(text.size()));
    }
    vocabulary_.chat_template = std::string(text);
    return success();
  }

  const std::string source_;
  Vocabulary& vocabulary_;
  const int32_t end_of_text_;
  size_t stop_tokens_ = 0;
};

}  // namespace

Result<Vocabulary> vocabulary_of_litertlm(const LitertlmContent& bundle, const std::string& source) {
  const auto tokenizer = std::ranges::find(bundle.sections, LitertlmKind::kSentencePiece, &LitertlmSection::kind);
  if (tokenizer == bundle.sections.end()) {
    return refused(source + ": has no SP_Tokenizer section; other tokenizers of bundles are not supported");
  }
  CARAT_TRY(Vocabulary vocabulary, vocabulary_from_sentencepiece(tokenizer->data, source + ": SP_Tokenizer"));
  const auto metadata = std::ranges::find(bundle.sections, LitertlmKind::kLlmMetadata, &LitertlmSection::kind);
  if (metadata == bundle.sections.end()) return vocabulary;
  const std::string where = source + ": LlmMetadataProto";
  if (metadata->data.size() > kLargestMetadata) {
    return refused(where + ": " + std::to_string(metadata->data.size()) + " bytes, expected at most " +
                   std::to_string(kLargestMetadata));
  }
  CARAT_TRY_STATUS(MetadataReader(where, vocabulary).read(metadata->data));
  return vocabulary;
}

}  // namespace carat
