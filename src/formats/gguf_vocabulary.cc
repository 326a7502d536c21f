#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "formats/gguf_gemma4.h"
#include "formats/quote.h"

namespace carat {
namespace {

// Ends of generation that a chat model's vocabulary names by their text (a turn's end, a call for a tool's answer).
constexpr std::string_view kEndOfTurn = "<turn|>";
constexpr std::string_view kToolResponse = "<|tool_response>";
constexpr std::string_view kChatTemplate = "tokenizer.chat_template";
constexpr std::string_view kStopIds = "carat.stop_token_ids";
constexpr std::string_view kSuppressedIds = "tokenizer.ggml.suppress_tokens";

using PieceIds = std::unordered_map<std::string_view, int32_t>;

int32_t id_or_none(const PieceIds& ids, std::string_view piece) {
  const auto found = ids.find(piece);
  return found == ids.end() ? -1 : found->second;
}

Status check_length(const GgufFields& fields, std::string_view key, const GgufArray& array, size_t pieces) {
  if (array.size() == pieces) return success();
  return fields.refusal(key, "expected one entry for each of " + std::to_string(pieces) + " pieces, found " +
                                 std::to_string(array.size()));
}

Status read_pieces(const GgufFields& fields, Vocabulary& vocabulary) {
  CARAT_TRY(const GgufArray* tokens, fields.texts("tokenizer.ggml.tokens"));
  if (tokens->size() > static_cast<uint64_t>(kLargestVocabulary)) {
    return fields.refusal("tokenizer.ggml.tokens", std::to_string(tokens->size()) + " pieces, expected at most " +
                                                       std::to_string(kLargestVocabulary));
  }
  vocabulary.pieces.assign(tokens->strings().begin(), tokens->strings().end());

  CARAT_TRY(const GgufArray* types, fields.integers("tokenizer.ggml.token_type"));
  CARAT_TRY_STATUS(check_length(fields, "tokenizer.ggml.token_type", *types, vocabulary.pieces.size()));
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const int64_t type = types->integer(id);
    if (type < static_cast<int64_t>(PieceType::kNormal) || type > static_cast<int64_t>(PieceType::kByte)) {
      return fields.refusal("tokenizer.ggml.token_type",
                            "entry " + std::to_string(id) + " is " + std::to_string(type) + ", expected 1 to 6");
    }
    vocabulary.types.push_back(static_cast<PieceType>(type));
  }

  vocabulary.scores.assign(vocabulary.pieces.size(), 0.0f);
  if (!fields.has("tokenizer.ggml.scores")) return success();
  CARAT_TRY(const GgufArray* scores, fields.numbers("tokenizer.ggml.scores"));
  CARAT_TRY_STATUS(check_length(fields, "tokenizer.ggml.scores", *scores, vocabulary.pieces.size()));
  for (size_t id = 0; id < vocabulary.pieces.size(); ++id)
    vocabulary.scores[id] = static_cast<float>(scores->number(id));
  return success();
}

Status read_merges(const GgufFields& fields, const PieceIds& ids, Vocabulary& vocabulary) {
  constexpr const char* kKey = "tokenizer.ggml.merges";
  CARAT_TRY(const GgufArray* merges, fields.texts(kKey));
  vocabulary.merges.reserve(merges->size());
  for (const std::string_view merge : merges->strings()) {
    const size_t space = merge.find(' ', 1);
    const int32_t left = space == std::string_view::npos ? -1 : id_or_none(ids, merge.substr(0, space));
    const int32_t right = space == std::string_view::npos ? -1 : id_or_none(ids, merge.substr(space + 1));
    if (left < 0 || right < 0) {
      return fields.refusal(kKey, "entry " + std::to_string(vocabulary.merges.size()) + " is " + in_quotes(merge) +
                                      "; expected two pieces of the vocabulary with a space between");
    }
    vocabulary.merges.push_back({left, right});
  }
  return success();
}

Result<int32_t> read_id(const GgufFields& fields, std::string_view key, int32_t pieces) {
  if (!fields.has(key)) return -1;
  CARAT_TRY(const int64_t id, fields.integer(key));
  if (id < 0 || id >= pieces) {
    return fields.refusal(key,
                          std::to_string(id) + " is no id of a vocabulary of " + std::to_string(pieces) + " pieces");
  }
  return static_cast<int32_t>(id);
}

Status read_base_ids(const GgufFields& fields, const PieceIds& ids, Vocabulary& vocabulary) {
  const int32_t pieces = vocabulary.size();
  CARAT_TRY(vocabulary.bos, read_id(fields, "tokenizer.ggml.bos_token_id", pieces));
  CARAT_TRY(vocabulary.unknown, read_id(fields, "tokenizer.ggml.unknown_token_id", pieces));
  CARAT_TRY(vocabulary.padding, read_id(fields, "tokenizer.ggml.padding_token_id", pieces));
  CARAT_TRY(vocabulary.mask, read_id(fields, "tokenizer.ggml.mask_token_id", pieces));
  CARAT_TRY(const int32_t end, read_id(fields, "tokenizer.ggml.eos_token_id", pieces));
  const int32_t end_of_text = id_or_none(ids, "<eos>");
  vocabulary.eos = end_of_text >= 0 ? end_of_text : end;  // the entry often names the end of a turn instead
  return success();
}

Result<std::vector<int32_t>> read_ids(const GgufFields& fields, std::string_view key, int32_t pieces) {
  CARAT_TRY(const GgufArray* found, fields.integers(key));
  std::vector<int32_t> ids;
  for (uint64_t i = 0; i < found->size(); ++i) {
    const int64_t id = found->integer(i);
    if (id < 0 || id >= pieces) {
      return fields.refusal(key,
                            std::to_string(id) + " is no id of a vocabulary of " + std::to_string(pieces) + " pieces");
    }
    ids.push_back(static_cast<int32_t>(id));
  }
  return ids;
}

Status read_stop_ids(const GgufFields& fields, const PieceIds& ids, Vocabulary& vocabulary) {
  if (fields.has(kStopIds)) {
    CARAT_TRY(vocabulary.stop, read_ids(fields, kStopIds, vocabulary.size()));
    return success();
  }
  CARAT_TRY(const int32_t end, read_id(fields, "tokenizer.ggml.eos_token_id", vocabulary.size()));
  CARAT_TRY(const int32_t end_of_turn, read_id(fields, "tokenizer.ggml.eot_token_id", vocabulary.size()));
  for (const int32_t id :
       {vocabulary.eos, end, end_of_turn, id_or_none(ids, kEndOfTurn), id_or_none(ids, kToolResponse)}) {
    const bool known = std::count(vocabulary.stop.begin(), vocabulary.stop.end(), id) > 0;
    if (id >= 0 && !known) vocabulary.stop.push_back(id);
  }
  return success();
}

Status read_sampling(const GgufFields& fields, Vocabulary& vocabulary) {
  SamplingDefaults& sampling = vocabulary.sampling;
  CARAT_TRY(const int64_t top_k, fields.integer("general.sampling.top_k", sampling.top_k));
  CARAT_TRY(const double top_p, fields.number("general.sampling.top_p", sampling.top_p));
  CARAT_TRY(const double temperature, fields.number("general.sampling.temp", sampling.temperature));
  if (top_k < 0 || top_k > kLargestVocabulary) {
    return fields.refusal("general.sampling.top_k", std::to_string(top_k) + " makes no sense");
  }
  if (!(top_p > 0 && top_p <= 1)) return fields.refusal("general.sampling.top_p", "expected more than 0 and at most 1");
  if (!(temperature >= 0 && temperature <= 1e6)) return fields.refusal("general.sampling.temp", "expected 0 or more");
  sampling = {static_cast<float>(temperature), static_cast<int32_t>(top_k), static_cast<float>(top_p)};
  return success();
}

void add_base_ids(const Vocabulary& vocabulary, GgufHeader& header) {
  const auto add = [&](std::string_view key, int32_t id) {
    if (id >= 0) header.add_u32(key, static_cast<uint32_t>(id));
  };
  // Programs that know of one end only shall stop at the end of a turn.
  const auto turn = std::find_if(vocabulary.stop.begin(), vocabulary.stop.end(),
                                 [&](int32_t id) { return vocabulary.pieces[static_cast<size_t>(id)] == kEndOfTurn; });
  const int32_t end_of_turn = turn == vocabulary.stop.end() ? -1 : *turn;
  add("tokenizer.ggml.bos_token_id", vocabulary.bos);
  add("tokenizer.ggml.eos_token_id", end_of_turn >= 0 ? end_of_turn : vocabulary.eos);
  add("tokenizer.ggml.eot_token_id", end_of_turn);
  add("tokenizer.ggml.unknown_token_id", vocabulary.unknown);
  add("tokenizer.ggml.padding_token_id", vocabulary.padding);
  add("tokenizer.ggml.mask_token_id", vocabulary.mask);
}

Status add_merges(const Vocabulary& vocabulary, GgufHeader& header) {
  std::vector<std::string> merges;
  merges.reserve(vocabulary.merges.size());
  for (const Merge merge : vocabulary.merges) {
    const std::string& left = vocabulary.pieces[static_cast<size_t>(merge.left)];
    if (left.find(' ', 1) != std::string::npos) {
      return refused("a GGUF file cannot hold a merge of the piece " + in_quotes(left) + ", which has a space inside");
    }
    merges.push_back(left + " " + vocabulary.pieces[static_cast<size_t>(merge.right)]);
  }
  header.add_string_array("tokenizer.ggml.merges", merges);
  return success();
}

}  // namespace

Result<Vocabulary> vocabulary_from_gguf(const GgufFields& fields, const std::string& source) {
  CARAT_TRY(const std::string model, fields.text("tokenizer.ggml.model"));
  if (model != "gemma4") {
    return fields.refusal("tokenizer.ggml.model", "expected gemma4, found " + in_quotes(model));
  }
  Vocabulary vocabulary;
  CARAT_TRY_STATUS(read_pieces(fields, vocabulary));
  PieceIds ids;
  for (int32_t id = 0; id < vocabulary.size(); ++id) ids.emplace(vocabulary.pieces[static_cast<size_t>(id)], id);
  CARAT_TRY_STATUS(read_merges(fields, ids, vocabulary));
  CARAT_TRY_STATUS(read_base_ids(fields, ids, vocabulary));
  CARAT_TRY_STATUS(read_stop_ids(fields, ids, vocabulary));
  if (fields.has(kSuppressedIds)) {
    CARAT_TRY(vocabulary.suppressed, read_ids(fields, kSuppressedIds, vocabulary.size()));
  }
  CARAT_TRY_STATUS(read_sampling(fields, vocabulary));
  CARAT_TRY(vocabulary.chat_template, fields.text(kChatTemplate, ""));
  if (vocabulary.chat_template.size() > kLongestChatTemplate) {
    return fields.refusal(kChatTemplate, "has " + std::to_string(vocabulary.chat_template.size()) +
                                             " bytes, expected at most " + std::to_string(kLongestChatTemplate));
  }
  CARAT_TRY(const std::vector<int32_t> merged, check_vocabulary(vocabulary, source));
  return vocabulary;
}

Status add_vocabulary(const Vocabulary& vocabulary, GgufHeader& header) {
  header.add_i32("general.sampling.top_k", vocabulary.sampling.top_k);
  header.add_f32("general.sampling.top_p", vocabulary.sampling.top_p);
  header.add_f32("general.sampling.temp", vocabulary.sampling.temperature);
  header.add_string("tokenizer.ggml.model", "gemma4");
  header.add_string_array("tokenizer.ggml.tokens", vocabulary.pieces);
  header.add_f32_array("tokenizer.ggml.scores", vocabulary.scores);
  std::vector<int32_t> types;
  for (const PieceType type : vocabulary.types) types.push_back(static_cast<int32_t>(type));
  header.add_i32_array("tokenizer.ggml.token_type", types);
  CARAT_TRY_STATUS(add_merges(vocabulary, header));
  add_base_ids(vocabulary, header);
  header.add_i32_array(kStopIds, vocabulary.stop);
  if (!vocabulary.suppressed.empty()) header.add_i32_array(kSuppressedIds, vocabulary.suppressed);
  header.add_bool("tokenizer.ggml.add_bos_token", true);
  header.add_bool("tokenizer.ggml.add_space_prefix", false);
  if (!vocabulary.chat_template.empty()) header.add_string(kChatTemplate, vocabulary.chat_template);
  return success();
}

}  // namespace carat
