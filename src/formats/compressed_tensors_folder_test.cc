#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "lattice/codes.h"
#include "lattice/lattice.h"
#include "tests/support/coded_model.h"
#include "tests/support/golden_bytes.h"

namespace carat {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(CARAT_SOURCE_DIR) / "tests/golden/compressed_tensors";

void copy_checkpoint(const fs::path& source, const fs::path& target, Container container) {
  const Checkpoint checkpoint = Checkpoint::open(source).value();
  const auto written = write_checkpoint(target, container, checkpoint.config(), checkpoint.vocabulary(),
                                        specs_of(checkpoint), copies_of(checkpoint));
  ASSERT_TRUE(written.ok()) << written.error().message;
}

void expect_same_files(const fs::path& a, const fs::path& b) {
  for (const fs::directory_entry& entry : fs::directory_iterator(a)) {
    const fs::path name = entry.path().filename();
    ASSERT_TRUE(fs::exists(b / name)) << name;
    EXPECT_TRUE(bytes_of(a / name) == bytes_of(b / name)) << name;
  }
}

std::vector<int8_t> codes_of(const TensorView& view) {
  std::vector<int8_t> codes(static_cast<size_t>(*element_count(view.shape)));
  unpack_codes(view.dtype, view.data, codes);
  return codes;
}

class Golden : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(CompressedTensors, Golden, testing::Values("mobile", "w4a16"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(Golden, HoldsTheIntegersAndScalesThatThePackageSays) {
  const fs::path folder = kGolden / GetParam();
  const auto expected = nlohmann::json::parse(bytes_of(folder / "codes.json"));
  const auto opened = Checkpoint::open(folder);
  ASSERT_TRUE(opened.ok()) << opened.error().message;
  EXPECT_EQ(opened->container(), Container::kCompressedTensors);
  size_t weights = 0, scales = 0;
  for (const auto& [name, view] : opened->tensors()) {
    if (!is_code_type(view.dtype)) continue;
    ++weights;
    const auto& wanted = expected["weights"].at(name);
    EXPECT_EQ(sha256_of(codes_of(view)), wanted["codes"]) << name;
    EXPECT_EQ(sha256_of(decode_tensor(view)), wanted["values"]) << name;
  }
  const auto find_scale = [&](const std::string& theirs) -> const TensorView* {
    constexpr std::pair<const char*, const char*> kNames[] = {{".input_scale", ".input_activation_scale"},
                                                              {".output_scale", ".output_activation_scale"},
                                                              {".k_scale", ".k_cache_scale"},
                                                              {".v_scale", ".v_cache_scale"}};
    for (const auto& [suffix, ours] : kNames) {
      if (theirs.ends_with(suffix)) return opened->find(theirs.substr(0, theirs.rfind('.')) + ours);
    }
    return nullptr;
  };
  for (const auto& [name, value] : expected["scales"].items()) {
    const TensorView* scale = find_scale(name);
    ASSERT_NE(scale, nullptr) << name;
    EXPECT_EQ(decode_tensor(*scale).front(), value.get<float>()) << name;
    ++scales;
  }
  EXPECT_EQ(scales, expected["scales"].size());
  // The head is no tensor of its own.
  EXPECT_EQ(weights, expected["weights"].size() - expected["weights"].count("lm_head.weight"));
}

TEST_P(Golden, WrittenAgainHoldsTheSameTensors) {
  const TemporaryFolder folder;
  copy_checkpoint(kGolden / GetParam(), folder / "a", Container::kCompressedTensors);
  copy_checkpoint(folder / "a", folder / "b", Container::kCompressedTensors);
  expect_same_files(folder / "a", folder / "b");
  const Checkpoint original = Checkpoint::open(kGolden / GetParam()).value();
  const Checkpoint again = Checkpoint::open(folder / "a").value();
  ASSERT_EQ(original.tensors().size(), again.tensors().size());
  for (const auto& [name, view] : original.tensors()) {
    const TensorView* found = again.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->dtype, view.dtype) << name;
    EXPECT_TRUE(std::ranges::equal(found->data, view.data)) << name;
    EXPECT_EQ(found->scales.dtype, view.scales.dtype) << name;
    EXPECT_TRUE(std::ranges::equal(found->scales.data, view.scales.data)) << name;
  }
}

TEST(CompressedTensorsFolder, RoundTripsChangeNoByte) {
  for (uint32_t seed = 0; seed < 3; ++seed) {
    const TinyShape shapes[] = {{.pattern = "SFSF", .shared = 2}, {.pattern = "SSF", .shared = 0}};
    for (const TinyShape& shape : shapes) {
      const TemporaryFolder folder;
      for (const Scheme& scheme : {coded_scheme(shape), grouped_scheme()}) {
        const CodedModel model(shape, scheme, seed);
        ASSERT_TRUE(model.write(folder / "a", Container::kCompressedTensors).ok());
        copy_checkpoint(folder / "a", folder / "b", Container::kCompressedTensors);
        expect_same_files(folder / "a", folder / "b");
        EXPECT_EQ(Checkpoint::open(folder / "b").value().tensors().size(), model.tensors.size());
      }
    }
  }
}

TEST(CompressedTensorsFolder, RoundTripsThroughTheGemmaFormChangeNoByte) {
  for (uint32_t seed = 0; seed < 3; ++seed) {
    const TemporaryFolder folder;
    const TinyShape shape = {.pattern = "SFSF", .shared = 2};
    const CodedModel model(shape, coded_scheme(shape), seed);
    ASSERT_TRUE(model.write(folder / "gemma", Container::kSafetensors).ok());
    copy_checkpoint(folder / "gemma", folder / "ct", Container::kCompressedTensors);
    EXPECT_EQ(Checkpoint::open(folder / "ct").value().container(), Container::kCompressedTensors);
    copy_checkpoint(folder / "ct", folder / "again", Container::kSafetensors);
    expect_same_files(folder / "gemma", folder / "again");
  }
}

}  // namespace
}  // namespace carat
