#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <vector>

#include "base/check.h"

namespace carat {

/// One prompt and what transformers (float32) answered: one row of V logits for each of its T ids.
struct GoldenPrompt {
  std::vector<int32_t> ids;   ///< [T]
  std::vector<float> logits;  ///< [T, V]
};

/// A tiny random model, stored as a HuggingFace folder, with a prompt that is longer than three sliding windows and one
/// that fits in one. tests/oracle/tiny_models.py made them and says what each one covers.
struct GoldenModel {
  std::filesystem::path folder;
  std::vector<GoldenPrompt> prompts;
};

/// The five structures, in three types each.
inline constexpr const char* kGoldenModels[] = {"e2b_bf16", "e2b_f16",  "e2b_f32",  "e4b_bf16", "e4b_f16",
                                                "e4b_f32",  "12b_bf16", "12b_f16",  "12b_f32",  "26b_bf16",
                                                "26b_f16",  "26b_f32",  "31b_bf16", "31b_f16",  "31b_f32"};

/// The rows of a float32 .npy file of two dimensions, one after the other; `columns` receives their length.
inline std::vector<float> read_npy(const std::filesystem::path& path, size_t& columns) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  constexpr size_t kPrefix = 10;  // "\x93NUMPY", version 1.0, header length u16
  CARAT_CHECK(bytes.size() > kPrefix && bytes.substr(1, 5) == "NUMPY" && bytes[6] == 1, path.c_str());
  const size_t header_length = static_cast<uint8_t>(bytes[8]) + 256u * static_cast<uint8_t>(bytes[9]);
  const std::string header = bytes.substr(kPrefix, header_length);
  CARAT_CHECK(header.find("'<f4'") != std::string::npos, path.c_str());
  CARAT_CHECK(header.find("'fortran_order': False") != std::string::npos, path.c_str());

  size_t rows = 0;
  char bracket = 0, comma = 0;
  std::istringstream shape(header.substr(header.find("'shape': ") + std::strlen("'shape': ")));
  shape >> bracket >> rows >> comma >> columns;
  std::vector<float> values(rows * columns);
  CARAT_CHECK(rows > 0 && columns > 0, path.c_str());
  CARAT_CHECK(bytes.size() == kPrefix + header_length + values.size() * sizeof(float), path.c_str());
  std::memcpy(values.data(), bytes.data() + kPrefix + header_length, values.size() * sizeof(float));
  return values;
}

/// Ids separated by commas.
inline std::vector<int32_t> parse_ids(const std::string& line) {
  std::vector<int32_t> ids;
  std::istringstream text(line);
  for (std::string id; std::getline(text, id, ',');) ids.push_back(std::stoi(id));
  return ids;
}

/// The mobile format: two schedules of three seeds. tests/oracle/gemma_quant_models.py made them.
inline constexpr const char* kMobileModels[] = {"e2b_1", "e2b_2", "e2b_3", "e4b_1", "e4b_2", "e4b_3"};

/// Loads a model of tests/golden/ with the answers in `logits_file`. Ends the process when the files are damaged or
/// missing.
inline GoldenModel read_golden_model(const std::string& name, const char* logits_file) {
  GoldenModel model;
  model.folder = std::filesystem::path(CARAT_SOURCE_DIR) / "tests/golden" / name;
  size_t columns = 0;
  const std::vector<float> logits = read_npy(model.folder / logits_file, columns);

  std::ifstream lines(model.folder / "prompts.txt");
  auto next = logits.begin();
  for (std::string line; std::getline(lines, line);) {
    GoldenPrompt prompt;
    prompt.ids = parse_ids(line);
    const auto count = static_cast<std::ptrdiff_t>(prompt.ids.size() * columns);
    CARAT_CHECK(count > 0 && count <= logits.end() - next, model.folder.c_str());
    prompt.logits.assign(next, next + count);
    next += count;
    model.prompts.push_back(std::move(prompt));
  }
  CARAT_CHECK(!model.prompts.empty() && next == logits.end(), model.folder.c_str());
  return model;
}

/// tests/golden/transformers/`name`.
inline GoldenModel golden_model(const std::string& name) {
  return read_golden_model("transformers/" + name, "logits.npy");
}

/// tests/golden/mobile/`name`; with "logits_f64.npy" the answers that transformers gives in float64.
inline GoldenModel mobile_model(const std::string& name, const char* logits_file = "logits.npy") {
  return read_golden_model("mobile/" + name, logits_file);
}

/// Infinite when the lengths differ or a value is no number.
inline double largest_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, difference);
  }
  return largest;
}

}  // namespace carat
