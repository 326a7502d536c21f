#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "lattice/lattice.h"
#include "tests/support/random_blocks.h"

// What ggml says of stored bytes (tests/oracle/ggml_blocks.py asked it), bit for bit.

namespace carat {
namespace {

constexpr size_t kValues = 1024;

/// The bytes of a file that holds `kValues` values twice: stored as `dtype`, and as float32.
std::string golden(const std::string& name, DType dtype) {
  std::ifstream file(CARAT_SOURCE_DIR "/tests/golden/ggml/" + name, std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(content.size(), *row_bytes(dtype, kValues) + kValues * sizeof(float)) << name;
  return content;
}

/// All but F32, which is the identity.
std::vector<DType> asked_dtypes() {
  std::vector<DType> dtypes = all_dtypes();
  std::erase(dtypes, DType::kF32);
  return dtypes;
}

class GgmlGolden : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, GgmlGolden, testing::ValuesIn(asked_dtypes()),
                         [](const auto& instance) { return std::string(dtype_name(instance.param)); });

TEST_P(GgmlGolden, DecodesToTheSameBits) {
  const std::string content = golden(std::string(dtype_name(GetParam())) + ".bin", GetParam());
  const size_t stored = *row_bytes(GetParam(), kValues);
  std::vector<float> values(kValues), expected(kValues);
  decode(GetParam(), std::as_bytes(std::span(content).first(stored)), values);
  std::memcpy(expected.data(), content.data() + stored, kValues * sizeof(float));
  for (size_t i = 0; i < kValues; ++i) {
    ASSERT_EQ(std::memcmp(&values[i], &expected[i], sizeof(float)), 0) << i << ": " << values[i] << ", " << expected[i];
  }
}

TEST(GgmlGoldenOfTypes, Q8_0EncodesToTheSameBytes) {
  const std::string content = golden("Q8_0.encode.bin", DType::kQ8_0);
  std::vector<float> values(kValues);
  std::memcpy(values.data(), content.data(), kValues * sizeof(float));
  std::string blocks(*row_bytes(DType::kQ8_0, kValues), '\0');
  encode(DType::kQ8_0, values, std::as_writable_bytes(std::span(blocks)));
  EXPECT_TRUE(blocks == content.substr(kValues * sizeof(float)));
}

}  // namespace
}  // namespace carat
