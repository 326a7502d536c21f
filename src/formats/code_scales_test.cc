#include "formats/code_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file_map.h"
#include "base/file_write.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

constexpr size_t kMany = 700'000;  // F32 scales of more than two megabytes

/// Scales in a file, for their pages are given back.
template <typename T>
FileMap mapped(const std::filesystem::path& path, const std::vector<T>& scales) {
  CARAT_CHECK(write_file(path, as_text(std::as_bytes(std::span(scales)))).ok(), "a file");
  return FileMap::open(path).value();
}

TEST(CodeScales, EveryScaleIsLookedAt) {
  const TemporaryFolder folder;
  std::vector<float> scales(kMany, 0.5f);
  const auto check = [&](int64_t groups) {
    const FileMap file = mapped(folder / "scales", scales);
    return check_scales("t_scale", {DType::kF32, groups, file.bytes()}, "folder");
  };
  EXPECT_TRUE(check(1).ok());
  for (const size_t place : {size_t{0}, size_t{262'144}, kMany - 1}) {
    for (const float bad : {0.0f, -0.5f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
      scales[place] = bad;
      EXPECT_FALSE(check(1).ok()) << place << " " << bad;
      scales[place] = 0.5f;
    }
  }
  scales[10] = -1.0f;
  EXPECT_EQ(check(4).error().message,
            "folder: t_scale: the scale of row 2, group 2 is -1, expected one above zero; the file is damaged, copy it "
            "again");
  EXPECT_NE(check(1).error().message.find("the scale of row 10 is -1,"), std::string::npos);
}

TEST(CodeScales, ScalesMayBeBF16) {
  const TemporaryFolder folder;
  std::vector<uint16_t> scales(kMany, 0x3f00);  // 0.5
  const auto check = [&] {
    const FileMap file = mapped(folder / "scales", scales);
    return check_scales("t_scale", {DType::kBF16, 1, file.bytes()}, "folder").ok();
  };
  EXPECT_TRUE(check());
  for (const uint16_t bad : {0x0000, 0x8000, 0xbf00, 0x7f80, 0x7fc0}) {
    scales[kMany - 3] = bad;
    EXPECT_FALSE(check()) << bad;
  }
}

TEST(CodeScales, ScalesOfBlocksMayHaveEitherSign) {
  const TemporaryFolder folder;
  std::vector<float> scales(kMany, -0.5f);
  const auto check = [&](ScaleSigns signs) {
    const FileMap file = mapped(folder / "scales", scales);
    return check_scales("t_scale", {DType::kF32, 1, file.bytes()}, "folder", signs);
  };
  EXPECT_TRUE(check(ScaleSigns::kBoth).ok());
  EXPECT_FALSE(check(ScaleSigns::kPositive).ok());
  for (const float bad : {0.0f, -0.0f, -std::numeric_limits<float>::infinity(), std::nanf("")}) {
    scales[kMany - 1] = bad;
    EXPECT_FALSE(check(ScaleSigns::kBoth).ok()) << bad;
  }
}

TEST(CodeScales, BytesAreComparedToTheEnd) {
  const TemporaryFolder folder;
  std::vector<float> scales(kMany, 0.5f);
  const FileMap a = mapped(folder / "a", scales);
  EXPECT_TRUE(same_mapped_bytes(a.bytes(), mapped(folder / "b", scales).bytes()));
  EXPECT_TRUE(same_mapped_bytes(a.bytes(), a.bytes()));
  EXPECT_FALSE(same_mapped_bytes(a.bytes(), a.bytes().first(4)));
  for (const size_t place : {size_t{0}, size_t{300'000}, kMany - 1}) {
    scales[place] = 0.25f;
    EXPECT_FALSE(same_mapped_bytes(a.bytes(), mapped(folder / "c", scales).bytes())) << place;
    scales[place] = 0.5f;
  }
}

}  // namespace
}  // namespace carat
