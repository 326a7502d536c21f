#include "model/cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "lattice/lattice.h"
#include "lattice/static_range.h"
#include "model/preset.h"

namespace carat {
namespace {

constexpr int64_t kWindow = 5;
constexpr int64_t kRing = kWindow + kChunkTokens - 1;

/// A sliding and a full layer that own their keys and values, and one of each that reads them.
ModelConfig two_owners() {
  ModelConfig config;
  config.sliding_window = kWindow;
  config.layers = {
      {.attention = AttentionType::kSliding, .kv_heads = 2, .head_width = 4, .kv_layer = 0},
      {.attention = AttentionType::kFull, .kv_heads = 1, .head_width = 6, .kv_layer = 1},
      {.attention = AttentionType::kFull, .kv_heads = 1, .head_width = 6, .kv_layer = 1},
      {.attention = AttentionType::kSliding, .kv_heads = 2, .head_width = 4, .kv_layer = 0},
  };
  return config;
}

/// Its full layers' heads are wide enough for blocks, their keys are made from their values.
ModelConfig with_made_keys() {
  ModelConfig config = two_owners();
  for (LayerConfig& layer : config.layers) {
    layer.head_width = 32;
    layer.value_is_key = layer.attention == AttentionType::kFull;
  }
  return config;
}

/// Value number `i` of the row at `position`, in a store of float32.
float stored(const KeyValueView& view, const std::byte* store, int64_t position, int64_t i) {
  float value = 0;
  std::memcpy(&value, store + (position % view.capacity * view.kv_heads * view.width + i) * 4, sizeof(value));
  return value;
}

/// Stores rows that hold `marks` (keys) and their negatives (values), one for each position.
void append(KvCache& cache, const std::vector<float>& marks) {
  const auto T = static_cast<int64_t>(marks.size());
  ASSERT_TRUE(cache.reserve(cache.size() + T).ok());
  cache.extend(T);
  for (const size_t layer : {size_t{0}, size_t{1}}) {
    const KeyValueView view = cache.view(layer);
    const int64_t width = view.kv_heads * view.width;
    std::vector<float> keys(static_cast<size_t>(T * width));
    std::vector<float> values(keys.size());
    for (int64_t i = 0; i < T * width; ++i) {
      keys[i] = marks[i / width];
      values[i] = -keys[i];
    }
    cache.store(layer, T, keys.data(), values.data());
  }
}

/// Marks rows by their position.
void append_positions(KvCache& cache, int64_t T) {
  std::vector<float> marks;
  for (int64_t t = 0; t < T; ++t) marks.push_back(static_cast<float>(cache.size() + t));
  append(cache, marks);
}

TEST(CacheTest, AllocatesNothingBeforeItIsUsed) { EXPECT_EQ(KvCache(two_owners(), 100000).bytes(), 0u); }

TEST(CacheTest, GrowsByDoublingUpToTheLimit) {
  for (const ModelConfig& config : {two_owners(), with_made_keys()}) {
    for (const CacheOptions& options : {CacheOptions{}, {DType::kF16, 7}}) {
      KvCache cache(config, 1000, options);
      for (const auto& [asked, reserved] : {std::pair{1, 256}, {256, 256}, {257, 512}, {513, 1000}, {1000, 1000}}) {
        ASSERT_TRUE(cache.reserve(asked).ok());
        EXPECT_EQ(cache.bytes(), kv_cache_bytes(config, reserved, options).total()) << asked;
      }
    }
  }
}

TEST(CacheTest, RefusesMoreThanItsLimit) {
  KvCache cache(two_owners(), 10);
  EXPECT_TRUE(cache.reserve(10).ok());
  const Status status = cache.reserve(11);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("11"), std::string::npos) << status.error().message;
}

TEST(CacheTest, ReportsMissingMemory) {
  const int64_t limit = int64_t{1} << 50;
  KvCache cache(two_owners(), limit);
  append_positions(cache, 3);
  const Status status = cache.reserve(limit);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("smaller context"), std::string::npos) << status.error().message;
  EXPECT_EQ(stored(cache.view(1), cache.view(1).keys, 2, 0), 2.0f);
}

TEST(CacheTest, SlidingLayersKeepOneWindowAndOneBatch) {
  for (const int64_t batch : {int64_t{1}, int64_t{7}, kChunkTokens}) {
    KvCache cache(two_owners(), 4096, {.batch = batch});
    ASSERT_TRUE(cache.reserve(4096).ok());
    EXPECT_EQ(cache.view(0).capacity, kWindow + batch - 1);
    EXPECT_EQ(cache.view(1).capacity, 4096);
  }
}

TEST(CacheTest, SharingLayersSeeTheirDonor) {
  KvCache cache(two_owners(), 64);
  append_positions(cache, 10);
  EXPECT_EQ(cache.view(3).keys, cache.view(0).keys);
  EXPECT_EQ(cache.view(2).values, cache.view(1).values);
  EXPECT_EQ(cache.view(3).kv_heads, 2);
  EXPECT_EQ(cache.view(2).width, 6);
}

TEST(CacheTest, EveryVisiblePositionIsThereWhileItGrowsAndWraps) {
  KvCache cache(two_owners(), 2000);
  for (const int64_t T : {1, 3, 128, 100, 1, 1, 128, 128, 128, 7, 128, 128, 1, 90}) {
    append_positions(cache, T);
    const KeyValueView sliding = cache.view(0);
    const KeyValueView full = cache.view(1);
    const int64_t first_visible = std::max<int64_t>(0, cache.size() - T - kWindow + 1);
    for (int64_t p = first_visible; p < cache.size(); ++p) {
      ASSERT_EQ(stored(sliding, sliding.keys, p, 7), static_cast<float>(p));
      ASSERT_EQ(stored(sliding, sliding.values, p, 0), static_cast<float>(-p));
    }
    for (int64_t p = 0; p < cache.size(); ++p) ASSERT_EQ(stored(full, full.keys, p, 0), static_cast<float>(p));
  }
  EXPECT_GT(cache.size(), kRing);
}

TEST(CacheTest, RewindReachesEverythingUntilTheRingIsFull) {
  KvCache cache(two_owners(), 4096);
  append_positions(cache, 100);
  append_positions(cache, kRing - 100);
  EXPECT_EQ(cache.rewind_reach(), 0);
  append_positions(cache, 1);
  EXPECT_EQ(cache.rewind_reach(), kRing + 1 - kChunkTokens);
  cache.rewind(kRing - 50);
  EXPECT_EQ(cache.rewind_reach(), kRing + 1 - kChunkTokens) << "what was overwritten stays so";
  cache.clear();
  EXPECT_EQ(cache.rewind_reach(), 0);
}

TEST(CacheTest, WithoutSlidingLayersRewindReachesEverything) {
  ModelConfig config = two_owners();
  config.layers = {{.attention = AttentionType::kFull, .head_width = 6, .kv_layer = 0}};
  KvCache cache(config, 4096);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(cache.reserve(cache.size() + kChunkTokens).ok());
    cache.extend(kChunkTokens);
  }
  EXPECT_EQ(cache.rewind_reach(), 0);
}

TEST(CacheTest, AfterAnyRewindsTheWindowIsWhatWasStoredLast) {
  std::mt19937 random(1);
  for (const int64_t batch : {1, 2, 9}) {
    KvCache cache(two_owners(), 600, {.batch = batch});
    std::vector<float> marks;  // by position
    for (int step = 0; step < 2000; ++step) {
      const int64_t T = std::min<int64_t>(1 + static_cast<int64_t>(random()) % batch, 600 - cache.size());
      if (T == 0 || random() % 4 == 0) {
        const int64_t reach = cache.rewind_reach();
        const int64_t size = reach + static_cast<int64_t>(random()) % (cache.size() - reach + 1);
        cache.rewind(size);
        marks.resize(static_cast<size_t>(size));
        if (T == 0) cache.clear(), marks.clear();
      } else {
        for (int64_t t = 0; t < T; ++t) marks.push_back(static_cast<float>(random() % 100000));
        append(cache, std::vector<float>(marks.end() - T, marks.end()));
      }
      if (cache.size() == 0) continue;
      const KeyValueView sliding = cache.view(0), full = cache.view(1);
      for (int64_t p = std::max<int64_t>(0, cache.size() - kWindow + 1); p < cache.size(); ++p) {
        ASSERT_EQ(stored(sliding, sliding.keys, p, 3), marks[static_cast<size_t>(p)]) << "step " << step;
      }
      for (int64_t p = 0; p < cache.size(); ++p) {
        ASSERT_EQ(stored(full, full.values, p, 1), -marks[static_cast<size_t>(p)]) << "step " << step;
      }
    }
  }
}

class CacheTypes : public testing::TestWithParam<DType> {};

INSTANTIATE_TEST_SUITE_P(All, CacheTypes, testing::Values(DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

std::vector<float> normal(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  for (float& value : values) value = draw(random);
  return values;
}

TEST_P(CacheTypes, RowsAreOnTheLatticeOfTheType) {
  ModelConfig config = with_made_keys();
  config.layers[1].value_is_key = false;
  KvCache cache(config, 10, {.type = GetParam()});
  ASSERT_TRUE(cache.reserve(3).ok());
  cache.extend(3);
  const std::vector<float> keys = normal(3 * 64, 1), values = normal(3 * 64, 2);
  cache.store(0, 3, keys.data(), values.data());
  const KeyValueView view = cache.view(0);
  EXPECT_EQ(view.type, GetParam());
  const size_t bytes = *row_bytes(GetParam(), 3 * 64);
  std::vector<float> found(3 * 64), expected(3 * 64);
  for (const auto& [given, kept] : {std::pair{&keys, view.keys}, {&values, view.values}}) {
    snap(GetParam(), *given, expected);
    decode(GetParam(), {kept, bytes}, found);
    EXPECT_EQ(found, expected);
  }
}

TEST_P(CacheTypes, ARowThatIsNotFiniteIsKeptAsNaN) {
  KvCache cache(with_made_keys(), 10, {.type = GetParam()});
  ASSERT_TRUE(cache.reserve(2).ok());
  cache.extend(2);
  std::vector<float> keys = normal(2 * 64, 1);
  keys[70] = INFINITY;
  cache.store(0, 2, keys.data(), keys.data());
  std::vector<float> found(2 * 64);
  decode(GetParam(), {cache.view(0).keys, *row_bytes(GetParam(), 2 * 64)}, found);
  for (size_t i = 0; i < 64; ++i) EXPECT_TRUE(std::isfinite(found[i]));
  for (size_t i = 64; i < 128; ++i) EXPECT_TRUE(std::isnan(found[i]));
}

/// Scales of `two_owners`, by layer.
std::vector<CacheScales> scales_of_two_owners() {
  return {{0.25f, 0.5f}, {0.03f, 0.04f}, {0.03f, 0.04f}, {0.25f, 0.5f}};
}

KvCache int8_cache() { return KvCache(two_owners(), 40, {DType::kI8, 3, scales_of_two_owners()}); }

/// Stores `rows` in the full layer, of 6 keys and values a row, as the keys and the values of the next positions.
void append_rows(KvCache& cache, const std::vector<float>& rows) {
  const auto T = static_cast<int64_t>(rows.size() / 6);
  ASSERT_TRUE(cache.reserve(cache.size() + T).ok());
  cache.extend(T);
  cache.store(1, T, rows.data(), rows.data());
}

TEST(CacheTest, Int8RowsAreCodesOfTheLayersScales) {
  KvCache cache = int8_cache();
  std::vector<float> rows = normal(3 * 6, 1);
  rows[4] = 0.25f * 0.06f;  // half a step of values
  rows[7] = 1000.0f;
  rows[8] = -INFINITY;
  append_rows(cache, rows);
  for (const size_t layer : {size_t{1}, size_t{2}}) {
    const KeyValueView view = cache.view(layer);
    EXPECT_EQ(view.key_scale, 0.03f);
    EXPECT_EQ(view.value_scale, 0.04f);
    EXPECT_TRUE(view.faults.empty());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(static_cast<int8_t>(view.keys[i]), static_code(rows[i], 0.03f)) << i;
      EXPECT_EQ(static_cast<int8_t>(view.values[i]), static_code(rows[i], 0.04f)) << i;
    }
  }
  EXPECT_EQ(cache.view(3).key_scale, 0.25f);
  EXPECT_EQ(cache.view(3).value_scale, 0.5f);
}

TEST(CacheTest, AnInt8RowWithANaNIsMarkedUntilAnotherTakesItsPlace) {
  KvCache cache = int8_cache();
  append_rows(cache, normal(6, 1));
  std::vector<float> rows = normal(3 * 6, 2);
  rows[11] = NAN;
  append_rows(cache, rows);
  const std::span<const uint8_t> faults = cache.view(2).faults;
  ASSERT_EQ(static_cast<int64_t>(faults.size()), cache.view(2).capacity);
  EXPECT_EQ(std::count(faults.begin(), faults.end(), 0), cache.view(2).capacity - 1);
  EXPECT_EQ(faults[2], 1);
  EXPECT_TRUE(cache.view(0).faults.empty()) << "another layer";
  cache.rewind(2);
  append_rows(cache, normal(6, 3));
  EXPECT_EQ(cache.view(2).faults[2], 0);
}

TEST(CacheTest, Int8NeedsScalesForAllKeysAndValues) {
  const ModelConfig config = two_owners();
  std::vector<CacheScales> scales = scales_of_two_owners();
  EXPECT_TRUE(check_cache_type(DType::kI8, config, scales).ok());
  EXPECT_EQ(default_cache_type(config, scales), DType::kI8);
  EXPECT_EQ(default_cache_type(config, {}), DType::kF32);
  EXPECT_NE(check_cache_type(DType::kI8, config).error().message.find("no trained scales"), std::string::npos);
  const Status made = check_cache_type(DType::kI8, with_made_keys(), scales);
  EXPECT_NE(made.error().message.find("layer 1 makes its keys"), std::string::npos) << made.error().message;
  scales[3].values = 0.0f;
  const Status missing = check_cache_type(DType::kI8, config, scales);
  EXPECT_NE(missing.error().message.find("layer 3 has no trained v_cache_scale"), std::string::npos)
      << missing.error().message;
  EXPECT_EQ(default_cache_type(config, scales), DType::kF32);
  EXPECT_TRUE(check_cache_type(DType::kF16, config, scales).ok());
}

TEST(CacheTest, KeysThatAreMadeFromValuesAreNotKept) {
  const ModelConfig config = with_made_keys();
  KvCache cache(config, 100);
  append_positions(cache, 20);
  append_positions(cache, 30);
  std::vector<float> angles(30 * 32);
  for (size_t i = 0; i < angles.size(); ++i) angles[i] = static_cast<float>(i);
  cache.store_rotations(30, angles.data());
  for (const size_t layer : {size_t{1}, size_t{2}}) {
    const KeyValueView view = cache.view(layer);
    EXPECT_EQ(view.keys, nullptr);
    EXPECT_EQ(stored(view, view.values, 49, 31), -49.0f);
    ASSERT_EQ(view.rotated_pairs, 4);
    EXPECT_EQ(view.rotations[20 * 8], 0.0f);
    EXPECT_EQ(view.rotations[49 * 8 + 7], static_cast<float>(29 * 32 + 7));
  }
  EXPECT_NE(cache.view(0).keys, nullptr);
  EXPECT_EQ(kv_cache_bytes(config, 10).full, 10u * 32 * 4);
  EXPECT_EQ(kv_cache_bytes(config, 10).rotations, 10u * 8 * 4);
}

TEST(CacheTest, TypesHaveNames) {
  EXPECT_EQ(cache_type_named("f32").value(), DType::kF32);
  EXPECT_EQ(cache_type_named("f16").value(), DType::kF16);
  EXPECT_EQ(cache_type_named("q8_0").value(), DType::kQ8_0);
  EXPECT_EQ(cache_type_named("q4_0").value(), DType::kQ4_0);
  EXPECT_EQ(cache_type_named("int8").value(), DType::kI8);
  for (const char* name : {"", "Q4_0", "q4_k", "bf16", "i8"}) {
    const Result<DType> unknown = cache_type_named(name);
    ASSERT_FALSE(unknown.ok());
    EXPECT_NE(unknown.error().message.find("q8_0"), std::string::npos) << unknown.error().message;
  }
}

TEST(CacheTest, RefusesTypesThatDoNotFit) {
  EXPECT_TRUE(check_cache_type(DType::kQ8_0, with_made_keys()).ok());
  EXPECT_TRUE(check_cache_type(DType::kF16, two_owners()).ok());
  EXPECT_FALSE(check_cache_type(DType::kQ6_K, with_made_keys()).ok());
  const Status status = check_cache_type(DType::kQ4_0, two_owners());
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("heads of 4 values"), std::string::npos) << status.error().message;
}

constexpr const char* kPublished[] = {"e2b", "e4b", "12b", "26b-a4b", "31b"};

struct StoredType {
  const char* name;
  DType type;
  double bytes;  // of a value
};

constexpr StoredType kStoredTypes[] = {{"f32", DType::kF32, 4.0},
                                       {"f16", DType::kF16, 2.0},
                                       {"q8_0", DType::kQ8_0, 34.0 / 32},
                                       {"q4_0", DType::kQ4_0, 18.0 / 32},
                                       {"int8", DType::kI8, 1.0}};

/// Values of keys and values for each position, in the layers that own theirs.
struct ValuesPerPosition {
  double sliding, full;
};

constexpr ValuesPerPosition kValuesPerPosition[] = {
    {6144, 3072}, {20480, 8192}, {163840, 8192}, {102400, 10240}, {409600, 40960}};

TEST(CacheBytesTest, AreWhatTheShapesOfThePublishedModelsAmountTo) {
  for (size_t m = 0; m < std::size(kPublished); ++m) {
    const ModelConfig config = preset_config(kPublished[m]).value();
    const bool made = config.layers.back().value_is_key;
    for (const StoredType& type : kStoredTypes) {
      for (const int64_t positions : {100, 4096, 32768, 131072, 262144}) {
        for (const int64_t batch : {int64_t{1}, kChunkTokens, int64_t{512}}) {
          const CacheBytes bytes = kv_cache_bytes(config, positions, {type.type, batch});
          const auto rows = static_cast<double>(std::min(positions, config.sliding_window + batch - 1));
          const double full = kValuesPerPosition[m].full / (made ? 2 : 1);
          EXPECT_EQ(static_cast<double>(bytes.sliding), type.bytes * rows * kValuesPerPosition[m].sliding);
          EXPECT_EQ(static_cast<double>(bytes.full), type.bytes * static_cast<double>(positions) * full);
          EXPECT_EQ(bytes.rotations, made ? static_cast<uint64_t>(positions) * 64 * 2 * 4 : 0);
        }
      }
    }
  }
}

/// MiB with rings of exactly one window and both keys and values in all layers.
struct KnownMebibytes {
  int64_t positions;
  DType type;
  double mebibytes[5];
};

constexpr KnownMebibytes kKnown[] = {
    {4096, DType::kF16, {30.0, 84.0, 384, 280, 1120}},
    {4096, DType::kQ8_0, {15.9, 44.6, 204, 148.8, 595}},
    {4096, DType::kQ4_0, {8.4, 23.6, 108, 78.8, 315}},
    {32768, DType::kF16, {198, 532, 832, 840, 3360}},
    {32768, DType::kQ8_0, {105.2, 282.6, 442, 446.3, 1785}},
    {32768, DType::kQ4_0, {55.7, 149.6, 234, 236.3, 945}},
    {131072, DType::kF16, {774, 2068, 2368, 2760, 11040}},
    {131072, DType::kQ8_0, {411.2, 1098.6, 1258, 1466.3, 5865}},
    {131072, DType::kQ4_0, {217.7, 581.6, 666, 776.3, 3105}},
};

TEST(CacheBytesTest, WithKeysKeptAreTheKnownFigures) {
  for (size_t m = 0; m < std::size(kPublished); ++m) {
    ModelConfig config = preset_config(kPublished[m]).value();
    for (LayerConfig& layer : config.layers) layer.value_is_key = false;
    for (const KnownMebibytes& known : kKnown) {
      const CacheBytes bytes = kv_cache_bytes(config, known.positions, {known.type, 1});
      EXPECT_NEAR(static_cast<double>(bytes.total()) / (1 << 20), known.mebibytes[m], 0.0501)
          << kPublished[m] << " " << dtype_name(known.type) << " " << known.positions;
    }
  }
}

TEST(CacheBytesTest, Int8TakesAByteForEachValue) {
  EXPECT_EQ(kv_cache_bytes(preset_config("e2b").value(), 100, {.type = DType::kI8}).total(), 100u * 9216);
}

std::string mebibytes(uint64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.1f", static_cast<double>(bytes) / (1 << 20));
  return text;
}

TEST(CacheBytesTest, AreThoseOfTheDocument) {
  std::ifstream file(std::string(CARAT_SOURCE_DIR) + "/docs/context.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (const int64_t positions : {4096, 32768, 131072, 262144}) {
    for (const StoredType& type : kStoredTypes) {
      if (type.type == DType::kI8 && positions > 131072) continue;  // no mobile model is made for so many
      std::string line = "| " + std::to_string(positions) + " | " + type.name + " |";
      for (const char* model : kPublished) {
        const ModelConfig config = preset_config(model).value();
        const bool fits =
            positions <= config.context && (type.type != DType::kI8 || !config.layers.back().value_is_key);
        line += " " + (fits ? mebibytes(kv_cache_bytes(config, positions, {.type = type.type}).total()) : "") + " |";
      }
      EXPECT_NE(text.find(line + "\n"), std::string::npos) << line;
    }
  }
}

}  // namespace
}  // namespace carat
