#include "formats/vocabulary.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "base/utf8.h"
#include "formats/json_fields.h"
#include "formats/quote.h"

namespace carat {
namespace {

using PieceIds = std::unordered_map<std::string_view, int32_t>;

bool in_vocabulary(const Vocabulary& vocabulary, int64_t id) { return id >= 0 && id < vocabulary.size(); }

Result<PieceIds> index_pieces(const Vocabulary& vocabulary, const std::string& source) {
  PieceIds ids;
  ids.reserve(vocabulary.pieces.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const std::string& piece = vocabulary.pieces[static_cast<size_t>(id)];
    if (piece.empty() || !is_valid_utf8(piece)) {
      return refused(source + ": piece " + std::to_string(id) + " is " + in_quotes(piece) +
                     ", expected UTF-8 of at least one character");
    }
    const auto [earlier, is_new] = ids.emplace(piece, id);
    if (!is_new) {
      return refused(source + ": piece " + in_quotes(piece) + " has the ids " + std::to_string(earlier->second) +
                     " and " + std::to_string(id) + "; expected each piece once");
    }
  }
  return ids;
}

Status check_byte_pieces(const Vocabulary& vocabulary, const PieceIds& ids, const std::string& source) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 256; ++byte) {
    const std::string piece = {'<', '0', 'x', kHexDigits[byte >> 4], kHexDigits[byte & 15], '>'};
    const auto found = ids.find(piece);
    if (found == ids.end() || vocabulary.types[static_cast<size_t>(found->second)] != PieceType::kByte) {
      return refused(source + ": has no byte piece " + piece +
                     "; expected a vocabulary with byte fallback, as Gemma's");
    }
  }
  return success();
}

Status check_base_ids(const Vocabulary& vocabulary, const std::string& source) {
  for (const int32_t id : {vocabulary.bos, vocabulary.eos}) {
    if (!in_vocabulary(vocabulary, id)) {
      return refused(source + ": has no piece <bos> or <eos>; expected a vocabulary of Gemma 4's form");
    }
  }
  for (const int32_t id : {vocabulary.unknown, vocabulary.padding, vocabulary.mask}) {
    if (id != -1 && !in_vocabulary(vocabulary, id)) {
      return refused(source + ": a special id is " + std::to_string(id) + ", expected less than " +
                     std::to_string(vocabulary.size()));
    }
  }
  return success();
}

Result<int32_t> merge_result(const Vocabulary& vocabulary, const PieceIds& ids, size_t rank,
                             const std::string& source) {
  const Merge merge = vocabulary.merges[rank];
  const std::string where = source + ": merge " + std::to_string(rank) + ": ";
  if (!in_vocabulary(vocabulary, merge.left) || !in_vocabulary(vocabulary, merge.right)) {
    return refused(where + "joins the ids " + std::to_string(merge.left) + " and " + std::to_string(merge.right) +
                   ", expected less than " + std::to_string(vocabulary.size()));
  }
  const std::string whole =
      vocabulary.pieces[static_cast<size_t>(merge.left)] + vocabulary.pieces[static_cast<size_t>(merge.right)];
  const auto found = ids.find(whole);
  if (found == ids.end())
    return refused(where + "builds " + in_quotes(whole) + ", which is no piece of the vocabulary");
  return found->second;
}

/// An id, or an array of ids.
Result<std::vector<int32_t>> ids_of(const char* key, const JsonFields& fields, const Vocabulary& vocabulary) {
  const nlohmann::json& value = fields.json()[key];
  std::vector<int32_t> ids;
  for (const nlohmann::json& item : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() >= static_cast<uint64_t>(vocabulary.size())) {
      return fields.refusal(
          key, "expected ids from 0 to " + std::to_string(vocabulary.size() - 1) + ", found " + described(item));
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

Result<SamplingDefaults> sampling_defaults(const JsonFields& fields, SamplingDefaults defaults) {
  constexpr double kHottest = 1000.0;
  CARAT_TRY(const double temperature, fields.number("temperature", static_cast<double>(defaults.temperature)));
  CARAT_TRY(const int64_t top_k, fields.integer("top_k", defaults.top_k));
  CARAT_TRY(const double top_p, fields.number("top_p", static_cast<double>(defaults.top_p)));
  CARAT_TRY(const bool sample, fields.flag("do_sample", true));
  if (!(temperature >= 0 && temperature <= kHottest)) return fields.refusal("temperature", "expected 0 to 1000");
  if (top_k < 0 || top_k > kLargestVocabulary) {
    return fields.refusal("top_k", "expected 0 to " + std::to_string(kLargestVocabulary));
  }
  if (!(top_p > 0 && top_p <= 1)) return fields.refusal("top_p", "expected more than 0 and at most 1");
  return SamplingDefaults{sample ? static_cast<float>(temperature) : 0.0f, static_cast<int32_t>(top_k),
                          static_cast<float>(top_p)};
}

}  // namespace

bool is_printed_piece(std::string_view piece) {
  constexpr std::array<std::string_view, 7> kPrinted = {
      "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>", "<|\"|>", "<|channel>", "<channel|>"};
  return std::ranges::find(kPrinted, piece) != kPrinted.end();
}

bool is_special_piece(const Vocabulary& vocabulary, int32_t id) {
  for (const int32_t base : {vocabulary.bos, vocabulary.eos, vocabulary.unknown, vocabulary.padding, vocabulary.mask}) {
    if (id == base) return true;
  }
  const PieceType type = vocabulary.types[static_cast<size_t>(id)];
  return type == PieceType::kControl || type == PieceType::kUserDefined || type == PieceType::kUnknown;
}

Result<std::vector<int32_t>> check_vocabulary(const Vocabulary& vocabulary, const std::string& source) {
  const size_t count = vocabulary.pieces.size();
  if (count > static_cast<size_t>(kLargestVocabulary)) {
    return refused(source + ": " + std::to_string(count) + " pieces, expected at most " +
                   std::to_string(kLargestVocabulary));
  }
  if (vocabulary.merges.size() > kMostMerges) {
    return refused(source + ": " + std::to_string(vocabulary.merges.size()) + " merges, expected at most " +
                   std::to_string(kMostMerges));
  }
  if (vocabulary.types.size() != count || vocabulary.scores.size() != count) {
    return refused(source + ": " + std::to_string(count) + " pieces, but " + std::to_string(vocabulary.types.size()) +
                   " types and " + std::to_string(vocabulary.scores.size()) + " scores; expected as many of each");
  }
  CARAT_TRY(const PieceIds ids, index_pieces(vocabulary, source));
  CARAT_TRY_STATUS(check_byte_pieces(vocabulary, ids, source));
  CARAT_TRY_STATUS(check_base_ids(vocabulary, source));
  std::vector<int32_t> results;
  results.reserve(vocabulary.merges.size());
  for (size_t rank = 0; rank < vocabulary.merges.size(); ++rank) {
    CARAT_TRY(results.emplace_back(), merge_result(vocabulary, ids, rank, source));
  }
  return results;
}

Status read_generation_config(const std::string& text, const std::string& source, Vocabulary& vocabulary) {
  CARAT_TRY(const nlohmann::json parsed, parse_json_object(text, source));
  const JsonFields fields(parsed, source);
  CARAT_TRY(const SamplingDefaults sampling, sampling_defaults(fields, vocabulary.sampling));
  std::vector<int32_t> stop = vocabulary.stop;
  if (fields.has("eos_token_id")) {
    CARAT_TRY(stop, ids_of("eos_token_id", fields, vocabulary));
  }
  if (fields.has("suppress_tokens")) {
    CARAT_TRY(vocabulary.suppressed, ids_of("suppress_tokens", fields, vocabulary));
  }
  vocabulary.stop = std::move(stop);
  vocabulary.sampling = sampling;
  return success();
}

std::string generation_config_json(const Vocabulary& vocabulary) {
  nlohmann::ordered_json config;
  config["bos_token_id"] = vocabulary.bos;
  config["do_sample"] = vocabulary.sampling.temperature > 0;
  config["eos_token_id"] = vocabulary.stop;
  if (vocabulary.padding >= 0) config["pad_token_id"] = vocabulary.padding;
  if (!vocabulary.suppressed.empty()) config["suppress_tokens"] = vocabulary.suppressed;
  config["temperature"] = shortest_decimal(vocabulary.sampling.temperature);
  config["top_k"] = vocabulary.sampling.top_k;
  config["top_p"] = shortest_decimal(vocabulary.sampling.top_p);
  return config.dump(2) + "\n";
}

}  // namespace carat
