#include "formats/provenance.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "formats/checkpoint.h"
#include "tests/support/tiny_model.h"

namespace carat {
namespace {

using nlohmann::json;

ProvenanceStep training_step() {
  return {.tool = "carat 0.1.0",
          .command = "train",
          .scheme = "q4_0",
          .recipe = {{"steps", 300},
                     {"learning_rate", 0.001},
                     {"seed", UINT64_MAX},
                     {"distillation", true},
                     {"device", "cpu"},
                     {"shift", -5}},
          .sources = {{"model.safetensors", 123, sha256("a")}, {"text.txt", 0, sha256("")}}};
}

Provenance two_steps() {
  Provenance provenance;
  add_step(provenance, training_step());
  add_step(provenance, {.tool = "carat 0.1.0", .command = "convert"});
  return provenance;
}

std::string text_of(const Provenance& provenance) { return provenance_to_json(provenance).dump(); }

Result<Provenance> read(const json& value) { return provenance_from_json(value, "config.json", "carat_provenance"); }

TEST(Provenance, IsReadBackAsItWasWritten) {
  const Provenance again = read(json::parse(text_of(two_steps()))).value();
  EXPECT_EQ(text_of(again), text_of(two_steps()));
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].sources, training_step().sources);
  EXPECT_EQ(std::get<uint64_t>(again[0].recipe.at("seed")), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(again[0].recipe.at("shift")), -5);
  EXPECT_EQ(std::get<double>(again[0].recipe.at("learning_rate")), 0.001);
  EXPECT_EQ(std::get<bool>(again[0].recipe.at("distillation")), true);
  EXPECT_EQ(std::get<std::string>(again[0].recipe.at("device")), "cpu");
  EXPECT_TRUE(again[1].recipe.empty());
}

TEST(Provenance, TravelsThroughBothContainers) {
  TemporaryFolder folder;
  TinyModel model;
  model.config.provenance = two_steps();
  for (const char* target : {"folder", "model.gguf"}) {
    model.write(folder / target, "q4_0").value();
    EXPECT_EQ(text_of(Checkpoint::open(folder / target).value().config().provenance), text_of(two_steps())) << target;
  }
  TinyModel().write(folder / "plain.gguf", "q4_0").value();
  EXPECT_TRUE(Checkpoint::open(folder / "plain.gguf").value().config().provenance.empty());
}

/// The first step of `two_steps` with one member changed at `path`.
void expect_refused(const std::string& path, const json& value, const std::string& message) {
  json document = json::parse(text_of(two_steps()));
  document[json::json_pointer(path)] = value;
  const auto provenance = read(document);
  ASSERT_FALSE(provenance.ok()) << message;
  EXPECT_EQ(provenance.error().kind, ErrorKind::kRefused);
  EXPECT_NE(provenance.error().message.find("config.json: carat_provenance"), std::string::npos);
  EXPECT_NE(provenance.error().message.find(message), std::string::npos) << provenance.error().message;
}

TEST(Provenance, RefusesByNameWhatIsNotOfTheForm) {
  expect_refused("", "text", "expected an array of steps, found string \"text\"");
  expect_refused("/0", 5, "carat_provenance[0]: expected an object, found number 5");
  expect_refused("/0/tool", nullptr, "carat_provenance[0].tool: is missing");
  expect_refused("/1/command", 5, "carat_provenance[1].command: expected a string");
  expect_refused("/0/scheme", "q4\x1b[2J", "scheme: expected at most 400 printable characters");
  expect_refused("/0/recipe", json::array(), "recipe: expected an object");
  expect_refused("/0/recipe/steps", json::array({1}), "recipe.steps: expected a string, a number, true or false");
  expect_refused("/0/recipe/steps", nullptr, "recipe.steps: expected a string, a number, true or false");
  expect_refused("/0/recipe/device", std::string(401, 'x'), "recipe.device: expected at most 400 printable characters");
  expect_refused("/0/sources", json::object(), "sources: expected an array");
  expect_refused("/0/sources/1", "text.txt", "sources: expected objects");
  expect_refused("/0/sources/1/name", "\u00e4", "sources[1].name: expected at most 400 printable characters");
  expect_refused("/0/sources/0/bytes", -1, "sources[0].bytes: expected 0 or more");
  expect_refused("/0/sources/0/bytes", 0.5, "sources[0].bytes: expected an integer");
  expect_refused("/0/sources/0/sha256", "abc", "sources[0].sha256: expected 64 hexadecimal digits, found \"abc\"");
  expect_refused("/0/sources/0/sha256", std::string(64, 'F'), "expected 64 hexadecimal digits");
}

TEST(Provenance, RefusesWhatIsBeyondTheLimits) {
  const json step = json::parse(text_of(two_steps()))[1];
  expect_refused("", json(33, step), "33 steps, expected at most 32");
  json settings;
  for (size_t i = 0; i <= kMostSettings; ++i) settings["setting" + std::to_string(i)] = i;
  expect_refused("/1/recipe", settings, "33 settings, expected at most 32");
  expect_refused("/1/sources", json(65, {{"name", "a"}, {"bytes", 1}, {"sha256", sha256("")}}),
                 "65 files, expected at most 64");
  json wide = step;
  for (size_t i = 0; i < kMostSettings; ++i) wide["recipe"][std::to_string(i)] = std::string(kLongestText, 'x');
  expect_refused("", json(6, wide), "expected at most 65536");

  const std::string deep = std::string(kLargestProvenance / 2, '[') + std::string(kLargestProvenance / 2, ']');
  EXPECT_FALSE(provenance_from_text(deep, "model.gguf", "carat.provenance").ok());
  const auto longer = provenance_from_text(deep + " ", "model.gguf", "carat.provenance");
  EXPECT_NE(longer.error().message.find("has 65537 bytes, expected at most 65536"), std::string::npos);
  const auto no_json = provenance_from_text("[{", "model.gguf", "carat.provenance");
  EXPECT_EQ(no_json.error().message, "model.gguf: carat.provenance: is no valid JSON");
}

TEST(Provenance, AWrongOneInAFileIsRefused) {
  json document = json::parse(config_to_json(TinyModel().config, "float32").value());
  document["carat_provenance"] = "q4_0";
  const auto config = config_from_json(document.dump(), "config.json");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("config.json: carat_provenance: expected an array"), std::string::npos);
  document["carat_provenance"] = nullptr;
  EXPECT_TRUE(config_from_json(document.dump(), "config.json").ok());
}

TEST(Provenance, WhatIsAddedStaysWithinTheLimits) {
  ProvenanceStep large = training_step();
  const std::string unprintable(200, '\xff');
  for (size_t i = large.recipe.size() + 2; i < kMostSettings; ++i)
    large.recipe[std::to_string(i) + unprintable] = unprintable;
  for (size_t i = 0; i < 100; ++i) large.sources.push_back({unprintable, UINT64_MAX >> 1, sha256("a")});
  Provenance provenance;
  for (int i = 0; i < 40; ++i) {
    large.recipe["number"] = i;
    add_step(provenance, large);
    ASSERT_TRUE(provenance_from_text(text_of(provenance), "model.gguf", "carat.provenance").ok()) << i;
    EXPECT_EQ(std::get<int64_t>(provenance.back().recipe.at("number")), i);
    EXPECT_EQ(std::get<int64_t>(provenance.back().recipe.at("sources_left_out")), 38);
    EXPECT_EQ(provenance.back().sources.size(), kMostSources);
  }

  Provenance small;
  for (int i = 0; i < 40; ++i) add_step(small, {.tool = "carat", .command = "convert", .recipe = {{"number", i}}});
  ASSERT_EQ(small.size(), kMostSteps);
  EXPECT_EQ(std::get<int64_t>(small.front().recipe.at("number")), 8) << "the oldest are dropped";
}

}  // namespace
}  // namespace carat
