#include "formats/ggml_types.h"

#include <gtest/gtest.h>

namespace carat {
namespace {

TEST(GgmlTypes, EveryTypeHasANumberOfItsOwn) {
  for (int i = 0; i < kGgufDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_of_ggml_type(ggml_type_of(dtype)), dtype) << dtype_name(dtype);
    EXPECT_EQ(ggml_type_name(ggml_type_of(dtype)), dtype_name(dtype));
  }
  EXPECT_EQ(ggml_type_of(DType::kQ4_0), 2u);
  EXPECT_EQ(ggml_type_of(DType::kQ6_K), 14u);
  EXPECT_EQ(ggml_type_of(DType::kTQ2_0), 35u);
  EXPECT_EQ(ggml_type_of(DType::kQ2_0), 42u);
}

TEST(GgmlTypes, OthersAreKnownByNameOrNumber) {
  for (const uint32_t type : {4u, 9u, 15u, 16u, 23u, 24u, 31u, 34u, 39u, 40u, 41u, 43u, 0xffffffffu}) {
    EXPECT_EQ(dtype_of_ggml_type(type), std::nullopt) << type;
  }
  EXPECT_EQ(ggml_type_name(23), "IQ4_XS");
  EXPECT_EQ(ggml_type_name(34), "TQ1_0");
  EXPECT_EQ(ggml_type_name(39), "MXFP4");
  EXPECT_EQ(ggml_type_name(40), "NVFP4");
  EXPECT_EQ(ggml_type_name(41), "Q1_0");
  EXPECT_EQ(ggml_type_name(4), "type 4");
  EXPECT_EQ(ggml_type_name(43), "type 43");
}

}  // namespace
}  // namespace carat
