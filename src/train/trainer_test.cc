#include "train/trainer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
#include "formats/safetensors.h"
#include "lattice/lattice.h"
#include "tests/support/tiny_model.h"
#include "train/adamw.h"

namespace carat {
namespace {

const std::atomic<bool> kGoOn{false};

Corpus random_corpus() {
  Random random(5);
  std::vector<int32_t> tokens(1500);
  for (int32_t& token : tokens) token = static_cast<int32_t>(264 + random.below(4));
  return Corpus::from_tokens(tokens, 2);
}

class Trainer : public ::testing::Test {
 protected:
  void SetUp() override {
    tiny_.write(folder_ / "float", "bf16").value();
    start_ = Checkpoint::open(folder_ / "float").value();
  }

  TrainOptions options(const std::string& name) {
    return {.output = folder_ / name,
            .scheme = *built_in_scheme("q4_0"),
            .steps = 6,
            .warmup = 2,
            .batch = 2,
            .sequence = 16,
            .learning_rate = 1e-2,
            .seed = 3};
  }

  /// Trains and returns the loss of each step, with all its bits.
  std::vector<double> run(const TrainOptions& options, const Checkpoint* start, const std::atomic<bool>& stop = kGoOn,
                          const StepObserver& observer = {}) {
    Corpus corpus = random_corpus();
    std::vector<double> losses;
    status_ = train(
        tiny_.config, tiny_.vocabulary, start, corpus, options,
        [&](const StepReport& report) {
          losses.push_back(report.loss);
          if (observer) observer(report);
        },
        stop);
    return losses;
  }

  TemporaryFolder folder_;
  TinyModel tiny_;
  std::optional<Checkpoint> start_;
  Status status_ = success();
};

TEST_F(Trainer, LearnsFromScratch) {
  TrainOptions o = options("scratch");
  o.scheme = *built_in_scheme("bf16");
  o.steps = 40;
  const std::vector<double> losses = run(o, nullptr);
  ASSERT_TRUE(status_.ok()) << status_.error().message;
  EXPECT_NEAR(losses.front(), std::log(static_cast<double>(tiny_.config.vocabulary)), 2.0);
  EXPECT_LT(losses.back(), 2.0);  // four equally likely tokens: log 4 = 1.39 is the best there is
}

TEST_F(Trainer, DistillationBringsTheQuantizedModelNearerToTheFloatModel) {
  TrainOptions o = options("qat");
  o.steps = 120;
  o.learning_rate = 1e-3;
  const std::vector<double> losses = run(o, &*start_);
  ASSERT_TRUE(status_.ok()) << status_.error().message;
  const double first = losses[0];  // of the weights rounded, before any update
  const double last = (losses[117] + losses[118] + losses[119]) / 3;
  EXPECT_GT(first, 0.0);
  EXPECT_LT(last, 0.75 * first);
}

TEST_F(Trainer, TheCheckpointIsTheLatentWeightsSnapped) {
  const TrainOptions o = options("qat");
  run(o, &*start_);
  ASSERT_TRUE(status_.ok()) << status_.error().message;
  const SafetensorsFile state = SafetensorsFile::open(o.output / "training/state-6.safetensors").value();
  const Checkpoint checkpoint = Checkpoint::open(o.output).value();
  EXPECT_EQ(checkpoint.config().scheme, "q4_0");
  size_t compared = 0;
  for (const StoredTensor& stored : state.tensors()) {
    const NamedTensor tensor = float_tensor(stored, stored.name, "state").value();
    if (!tensor.name.starts_with("weight.")) continue;
    const std::string name = tensor.name.substr(7);
    std::vector<float> latent = decode_tensor(tensor.view);
    snap(o.scheme.lattice_of(name), latent, latent);
    EXPECT_EQ(latent, decode_tensor(*checkpoint.find(name))) << name;
    ++compared;
  }
  EXPECT_GT(compared, 50u);
}

TEST_F(Trainer, AResumedRunHasTheLossesOfAnUnbrokenOne) {
  const std::vector<double> whole = run(options("whole"), &*start_);
  ASSERT_TRUE(status_.ok()) << status_.error().message;

  TrainOptions broken = options("broken");
  std::atomic<bool> stop{false};
  std::vector<double> losses = run(broken, &*start_, stop, [&](const StepReport& r) { stop = r.step == 3; });
  ASSERT_FALSE(status_.ok());
  EXPECT_EQ(status_.error().kind, ErrorKind::kInterrupted);
  EXPECT_NE(status_.error().message.find("--resume"), std::string::npos);
  ASSERT_EQ(losses.size(), 3u);
  EXPECT_TRUE(Checkpoint::open(broken.output).ok());

  broken.resume = true;
  const std::vector<double> rest = run(broken, &*start_);
  ASSERT_TRUE(status_.ok()) << status_.error().message;
  losses.insert(losses.end(), rest.begin(), rest.end());
  EXPECT_EQ(losses, whole);

  const Checkpoint a = Checkpoint::open(folder_ / "whole").value(), b = Checkpoint::open(broken.output).value();
  for (const NamedTensor& tensor : a.tensors()) {
    EXPECT_EQ(decode_tensor(tensor.view), decode_tensor(*b.find(tensor.name))) << tensor.name;
  }
}

TEST_F(Trainer, AccumulationIsOneLargerBatch) {
  TrainOptions large = options("large"), small = options("small");
  large.batch = 4;
  small.batch = 2;
  small.accumulate = 2;
  const std::vector<double> a = run(large, &*start_), b = run(small, &*start_);
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-3 * a[i]);
}

TEST_F(Trainer, RefusesToResumeAnotherRun) {
  TrainOptions o = options("run");
  run(o, &*start_);
  o.resume = true;
  o.learning_rate *= 2;
  run(o, &*start_);
  ASSERT_FALSE(status_.ok());
  EXPECT_EQ(status_.error().kind, ErrorKind::kRefused);
  EXPECT_NE(status_.error().message.find("learning_rate was 0.01 and is now 0.02"), std::string::npos)
      << status_.error().message;
}

TEST_F(Trainer, RefusesToResumeADamagedState) {
  TrainOptions o = options("run");
  run(o, &*start_);
  std::filesystem::resize_file(o.output / "training/state-6.safetensors", 1000);
  o.resume = true;
  run(o, &*start_);
  ASSERT_FALSE(status_.ok());
  EXPECT_EQ(status_.error().kind, ErrorKind::kRefused);
}

TEST_F(Trainer, SaysWhatIsWrongWithARequest) {
  const auto refusal = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions o = options("none");
    change(o);
    run(o, &*start_);
    return status_.ok() ? std::string("accepted") : status_.error().message;
  };
  EXPECT_NE(refusal([](TrainOptions& o) { o.steps = 0; }).find("must be positive"), std::string::npos);
  EXPECT_NE(refusal([](TrainOptions& o) { o.sequence = 257; }).find("context of 256"), std::string::npos);
  EXPECT_NE(refusal([](TrainOptions& o) { o.device = "nonsense"; }).find("libtorch"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none"));
}

TEST_F(Trainer, RefusesExperts) {
  tiny_ = TinyModel({.shared = 0, .per_layer_width = 0, .experts = 4}, 1);
  run(options("none"), nullptr);
  ASSERT_FALSE(status_.ok());
  EXPECT_EQ(status_.error().kind, ErrorKind::kRefused);
  EXPECT_NE(status_.error().message.find("4 experts"), std::string::npos) << status_.error().message;
}

TEST_F(Trainer, AnUnwritableFolderIsAnError) {
  TrainOptions o = options("file");
  std::ofstream(o.output) << "in the way";
  run(o, &*start_);
  ASSERT_FALSE(status_.ok());
  EXPECT_NE(status_.error().message.find("file"), std::string::npos);
}

TEST(LearningRate, RisesAndThenFallsToATenth) {
  EXPECT_DOUBLE_EQ(learning_rate_at(1, 100, 10, 1.0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate_at(10, 100, 10, 1.0), 1.0);
  EXPECT_NEAR(learning_rate_at(55, 100, 10, 1.0), 0.55, 1e-12);
  EXPECT_NEAR(learning_rate_at(100, 100, 10, 1.0), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(learning_rate_at(1, 1, 0, 1.0), 0.1);
}

// Kingma and Ba's first step moves every weight by the learning rate, whatever the gradient's size.
TEST(AdamWUpdate, TheFirstStepMovesByTheLearningRate) {
  at::Tensor weight = at::zeros({4}).set_requires_grad(true);
  (weight * at::tensor({3.0f, -0.5f, 0.1f, -7.0f})).sum().backward();
  AdamW adam({{"w", weight, at::zeros({4}), at::zeros({4})}}, {.gradient_clip = 1e9});
  adam.update(1, 0.01);
  EXPECT_TRUE(at::allclose(weight.detach(), at::tensor({-0.01f, 0.01f, -0.01f, 0.01f}), 1e-4));
  EXPECT_FALSE(weight.grad().defined());
}

}  // namespace
}  // namespace carat
