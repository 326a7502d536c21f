#include "kernels/select.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/cpu.h"

namespace carat {
namespace {

/// Sets CARAT_KERNELS for one test and puts the old value back.
class ForcedKernels {
 public:
  explicit ForcedKernels(const char* name) {
    if (const char* old = std::getenv(kVariable)) old_ = old;
    name == nullptr ? ::unsetenv(kVariable) : ::setenv(kVariable, name, 1);
  }
  ~ForcedKernels() { old_.empty() ? ::unsetenv(kVariable) : ::setenv(kVariable, old_.c_str(), 1); }

 private:
  static constexpr const char* kVariable = "CARAT_KERNELS";
  std::string old_;
};

TEST(Select, EachTableHasAName) {
  for (const Kernels* table : all_kernels()) EXPECT_STRNE(table->name, "");
  EXPECT_EQ(all_kernels().back(), &kReferenceKernels);
}

TEST(Select, TakesTheFastestThatTheProcessorRuns) {
  const ForcedKernels none(nullptr);
  const CpuFeatures cpu = cpu_features();
  const bool fast = kAvx2Kernels != nullptr && cpu.avx2 && cpu.fma && cpu.f16c;
  EXPECT_EQ(select_kernels().value(), fast ? kAvx2Kernels : &kReferenceKernels);
}

TEST(Select, EveryTableCanBeForced) {
  for (const Kernels* table : all_kernels()) {
    const ForcedKernels forced(table->name);
    EXPECT_EQ(select_kernels().value(), table);
  }
}

TEST(Select, RefusesAnUnknownNameAndListsTheOthers) {
  for (const char* name : {"sparc", "", "AVX2"}) {
    const ForcedKernels forced(name);
    const auto table = select_kernels();
    ASSERT_FALSE(table.ok());
    EXPECT_EQ(table.error().kind, ErrorKind::kUsage);
    EXPECT_NE(table.error().message.find("CARAT_KERNELS"), std::string::npos);
    EXPECT_NE(table.error().message.find(name), std::string::npos);
    EXPECT_NE(table.error().message.find("reference"), std::string::npos);
  }
}

}  // namespace
}  // namespace carat
