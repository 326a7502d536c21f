#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "kernels/select.h"
#include "session/session.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"

// A binary of its own: it counts what the whole program allocates.

namespace {

std::atomic<int64_t> allocations{0};

void* counted(std::size_t size) {
  ++allocations;
  void* memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) std::abort();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace carat {
namespace {

struct Case {
  const char* name;
  TinyShape shape;
  SamplingOptions sampling;
};

const Case kCases[] = {
    {"greedy", {.pattern = "SSFSF", .shared = 2}, {}},
    {"sampled",
     {.pattern = "SF", .shared = 0, .per_layer_width = 0},
     {.temperature = 1.0f, .top_k = 20, .top_p = 0.9f}},
    {"experts",
     {.pattern = "SF", .shared = 0, .per_layer_width = 0, .value_is_key = true, .experts = 5},
     {.temperature = 0.8f, .top_p = 0.7f, .min_p = 0.01f}},
    {"penalties",
     {.pattern = "SF", .shared = 0, .value_is_key = true},
     {.temperature = 1.2f,
      .repetition_penalty = 1.2f,
      .presence_penalty = 0.5f,
      .frequency_penalty = 0.5f,
      .penalty_window = 16,
      .logit_bias = {{.id = 7, .value = 2.0f}}}},
};

class AllocationTest : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Models, AllocationTest, testing::ValuesIn(kCases),
                         [](const auto& one) { return std::string(one.param.name); });

void expect_nothing_allocated(Model& model, DType cache_type, const SamplingOptions& sampling) {
  Session session = Session::create(model, {.cache_type = cache_type, .sampling = sampling}).value();
  ASSERT_TRUE(session.prefill(std::vector<int32_t>{2, 5, 9, 70, 31}).ok());
  const uint64_t held = session.cache_bytes();
  for (int token = 0; token < 200; ++token) {
    const int64_t before = allocations;
    const Result<int32_t> next = session.next();
    ASSERT_EQ(allocations, before) << "token " << token << ", " << dtype_name(cache_type);
    ASSERT_TRUE(next.ok());
  }
  EXPECT_EQ(session.cache_bytes(), held);
}

TEST_P(AllocationTest, DecodingAllocatesNothingUntilTheCacheGrows) {
  TemporaryFolder folder;
  ASSERT_TRUE(TinyModel(GetParam().shape, 1).write(folder / "model.gguf", "q8_0").ok());
  Ops ops(*all_kernels().front(), 2);
  Model model = Model::load(folder / "model.gguf", ops).value();
  for (const DType cache_type : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0}) {
    expect_nothing_allocated(model, cache_type, GetParam().sampling);
  }
}

TEST(MobileAllocationTest, DecodingAllocatesNothingUntilTheCacheGrows) {
  Ops ops(*all_kernels().front(), 2);
  for (const char* name : kMobileModels) {
    Model model = Model::load(mobile_model(name).folder, ops).value();
    EXPECT_EQ(Session::create(model, {}).value().cache_options().type, DType::kI8);
    for (const DType cache_type : {DType::kI8, DType::kF32}) expect_nothing_allocated(model, cache_type, {});
  }
}

TEST_P(AllocationTest, CountsAllocations) {
  const int64_t before = allocations;
  const auto memory = std::make_unique<std::vector<int>>(100);
  EXPECT_EQ(allocations, before + 2) << memory->size();
}

}  // namespace
}  // namespace carat
