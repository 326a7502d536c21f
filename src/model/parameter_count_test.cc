#include "model/parameter_count.h"

#include <gtest/gtest.h>

#include "model/preset.h"
#include "model/published_model.h"

namespace carat {
namespace {

ParameterCount count_of(const char* preset) { return count_parameters(preset_config(preset).value()); }

struct Expected {
  const char* preset;
  ParameterCount parts;
  int64_t stored;
};

// The table of the five shapes, worked out by hand from the widths of their layers.
const Expected kExpected[] = {
    {"e2b",
     {.embedding = 402'653'184,
      .per_layer_table = 2'348'810'240,
      .per_layer_inputs = 13'762'816,
      .per_layer_outputs = 27'525'120,
      .query = 132'120'576,
      .key_value = 14'155'776,
      .unused_key_value = 18'880'512,
      .attention_output = 132'120'576,
      .feed_forward = 1'557'135'360,
      .norms = 285'731},
     4'647'449'891},
    {"e4b",
     {.embedding = 671'088'640,
      .per_layer_table = 2'818'572'288,
      .per_layer_inputs = 27'525'376,
      .per_layer_outputs = 55'050'240,
      .query = 256'901'120,
      .key_value = 73'400'320,
      .unused_key_value = 55'055'616,
      .attention_output = 256'901'120,
      .feed_forward = 3'303'014'400,
      .norms = 559'914},
     7'518'069'034},
    {"12b",
     {.embedding = 1'006'632'960,
      .query = 880'803'840,
      .key_value = 644'874'240,
      .attention_output = 880'803'840,
      .feed_forward = 8'493'465'600,
      .norms = 769'840},
     11'907'350'320},
    {"26b-a4b",
     {.embedding = 738'197'504,
      .query = 403'701'760,
      .key_value = 302'776'320,
      .attention_output = 403'701'760,
      .feed_forward = 535'265'280,
      .router = 10'901'760,
      .experts = 22'837'985'280,
      .norms = 612'126},
     25'233'141'790},
    {"31b",
     {.embedding = 1'409'286'144,
      .query = 3'082'813'440,
      .key_value = 2'312'110'080,
      .attention_output = 3'082'813'440,
      .feed_forward = 20'808'990'720,
      .norms = 1'331'516},
     30'697'345'340},
};

TEST(ParameterCount, EveryPartOfEveryPublishedModel) {
  for (const Expected& expected : kExpected) {
    const ParameterCount found = count_of(expected.preset);
    for (const auto part :
         {&ParameterCount::embedding, &ParameterCount::per_layer_table, &ParameterCount::per_layer_inputs,
          &ParameterCount::per_layer_outputs, &ParameterCount::query, &ParameterCount::key_value,
          &ParameterCount::unused_key_value, &ParameterCount::attention_output, &ParameterCount::feed_forward,
          &ParameterCount::router, &ParameterCount::experts, &ParameterCount::norms}) {
      EXPECT_EQ(found.*part, expected.parts.*part) << expected.preset;
    }
    EXPECT_EQ(found.stored(), expected.stored) << expected.preset;
  }
}

TEST(ParameterCount, ActiveOnesAreWhatATokenIsMultipliedWith) {
  EXPECT_EQ(count_of("26b-a4b").active(), 3'822'530'590);
  EXPECT_EQ(count_of("e2b").active(), 4'647'449'891 - 2'348'810'240 - 18'880'512);
  EXPECT_EQ(count_of("12b").active(), 11'907'350'320);
}

TEST(PublishedModel, IsRecognisedByItsShape) {
  for (const PublishedModel& model : published_models()) {
    const ModelConfig config = preset_config(model.preset).value();
    const Likeness likeness = likeness_of(config);
    ASSERT_NE(likeness.model, nullptr) << model.name;
    EXPECT_EQ(likeness.model->name, model.name);
    EXPECT_TRUE(likeness.differences.empty()) << likeness.differences.front();
    EXPECT_EQ(count_parameters(config).stored(), model.parameters) << model.name;
  }
  EXPECT_EQ(likeness_of(preset_config("opal").value()).model, nullptr);
}

TEST(PublishedModel, SaysWhereAShapeDiffers) {
  ModelConfig config = preset_config("26b-a4b").value();
  config.vocabulary = 4096;
  config.rope_theta_full = 10000;
  for (LayerConfig& layer : config.layers) layer.ffn_width = 64;
  const Likeness likeness = likeness_of(config);
  ASSERT_NE(likeness.model, nullptr);
  const std::vector<std::string> expected = {"vocabulary 4096 instead of 262144",
                                             "full RoPE base 10000.000000 instead of 1000000.000000",
                                             "layer 0: feed-forward width 64 instead of 2112"};
  EXPECT_EQ(likeness.differences, expected);
}

}  // namespace
}  // namespace carat
