#include "train/gemma_torch.h"

#include <gtest/gtest.h>
#include <torch/utils.h>

#include "lattice/lattice.h"
#include "tests/support/golden_logits.h"
#include "tests/support/tiny_model.h"
#include "train/export.h"
#include "train/head_loss.h"

namespace carat {
namespace {

std::vector<float> module_logits(GemmaTorchImpl& module, const std::vector<int32_t>& ids) {
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  const at::Tensor logits = module.logits(module.forward(at::tensor(wide).unsqueeze(0))).contiguous();
  return {logits.data_ptr<float>(), logits.data_ptr<float>() + logits.numel()};
}

GemmaTorch loaded(const Checkpoint& checkpoint, std::string_view scheme) {
  GemmaTorch module(checkpoint.config(), *built_in_scheme(scheme));
  module->load(checkpoint);
  return module;
}

TEST(GemmaTorch, GivesTheLogitsOfTransformers) {
  for (const char* name : kGoldenModels) {
    const GoldenModel golden = golden_model(name);
    const Checkpoint checkpoint = Checkpoint::open(golden.folder).value();
    if (checkpoint.config().experts > 0) continue;
    GemmaTorch module = loaded(checkpoint, "f32");
    for (const GoldenPrompt& prompt : golden.prompts) {
      EXPECT_LT(largest_difference(module_logits(*module, prompt.ids), prompt.logits), 5e-5) << name;
    }
  }
}

TEST(GemmaTorch, RowsOfABatchDoNotSeeEachOther) {
  TemporaryFolder folder;
  TinyModel({}, 3).write(folder / "m.gguf", "f32").value();
  GemmaTorch module = loaded(Checkpoint::open(folder / "m.gguf").value(), "f32");
  torch::NoGradGuard no_grad;
  const at::Tensor ids = at::randint(0, module->config().vocabulary, {3, 21}, at::kLong);
  const at::Tensor together = module->logits(module->forward(ids));
  const at::Tensor alone = module->logits(module->forward(ids.narrow(0, 1, 1)));
  // A matrix product may add in another order when it has more rows; a row that saw another would be off by about one.
  EXPECT_LT((together[1] - alone[0]).abs().max().item<float>(), 1e-3f);
  EXPECT_GT((together[1] - together[0]).abs().max().item<float>(), 1e-1f);
}

void expect_gradients(const TinyModel& tiny) {
  GemmaTorch module(tiny.config, *built_in_scheme("q4_0"));
  module->initialise(5);
  const at::Tensor ids = at::randint(0, tiny.config.vocabulary, {2, 24}, at::kLong);
  const GemmaTorchImpl::Output output = module->forward(ids);
  next_token_loss({output.hidden.flatten(0, 1), output.head, tiny.config.softcap}, ids.flatten()).backward();
  for (const auto& parameter : module->named_parameters()) {
    const at::Tensor gradient = parameter.value().grad();
    ASSERT_TRUE(gradient.defined()) << parameter.key();
    EXPECT_TRUE(gradient.isfinite().all().item<bool>()) << parameter.key();
    EXPECT_GT(gradient.abs().max().item<float>(), 0.0f) << parameter.key();
  }
}

TEST(GemmaTorch, EveryWeightTakesPartInTheLoss) {
  expect_gradients(TinyModel({}, 4));
  expect_gradients(TinyModel({.shared = 0, .per_layer_width = 0, .value_is_key = true, .full_kv_heads = 1}, 4));
}

TEST(GemmaTorch, GradientsMatchFiniteDifferences) {
  TinyModel tiny({}, 4);
  GemmaTorch module(tiny.config, *built_in_scheme("f32"));
  module->initialise(6);
  const at::Tensor ids = at::randint(0, tiny.config.vocabulary, {2, 24}, at::kLong);
  const auto loss = [&] {
    const GemmaTorchImpl::Output output = module->forward(ids);
    return next_token_loss({output.hidden.flatten(0, 1), output.head, tiny.config.softcap}, ids.flatten());
  };
  loss().backward();
  // Along the gradient itself the change of the loss is the gradient's squared norm times the step.
  for (const char* name :
       {"model.embed_tokens.weight", "model.embed_tokens_per_layer.weight", "model.layers.2.self_attn.k_proj.weight",
        "model.layers.3.self_attn.v_proj.weight", "model.layers.3.self_attn.k_norm.weight",
        "model.layers.5.mlp.down_proj.weight", "model.per_layer_model_projection.weight"}) {
    torch::NoGradGuard no_grad;
    at::Tensor weight = module->latent(name);
    const at::Tensor gradient = weight.grad();
    const double square = gradient.square().sum().item<double>();
    const double step = 2e-2 / std::sqrt(square) / 10;
    const at::Tensor before = weight.detach().clone();
    weight.copy_(before + gradient * step);
    const double above = loss().item<double>();
    weight.copy_(before - gradient * step);
    const double below = loss().item<double>();
    weight.copy_(before);
    EXPECT_NEAR((above - below) / (2 * step * square), 1.0, 0.02) << name;
  }
}

TEST(GemmaTorch, TheSameSeedGivesTheSameWeights) {
  TinyModel tiny;
  GemmaTorch a(tiny.config, *built_in_scheme("f32")), b(tiny.config, *built_in_scheme("f32"));
  a->initialise(1);
  b->initialise(1);
  for (const TensorSpec& spec : expected_tensors(tiny.config))
    EXPECT_TRUE(a->latent(spec.name).equal(b->latent(spec.name)));
  b->initialise(2);
  EXPECT_FALSE(a->latent("model.embed_tokens.weight").equal(b->latent("model.embed_tokens.weight")));
}

// The second of the three equalities: what the forward pass uses, what is stored, and what is read back.
TEST(GemmaTorch, AnExportReadBackIsTheFakeQuantizedWeight) {
  TemporaryFolder folder;
  TinyModel tiny;
  GemmaTorch module(tiny.config, *built_in_scheme("q4_0"));
  module->initialise(8);
  for (const char* target : {"folder", "model.gguf"}) {
    ASSERT_TRUE(export_checkpoint(folder / target, *module, tiny.vocabulary, {}).ok());
    const Checkpoint checkpoint = Checkpoint::open(folder / target).value();
    for (const TensorSpec& spec : expected_tensors(tiny.config)) {
      const at::Tensor latent = module->latent(spec.name).detach().contiguous();
      std::vector<float> used(static_cast<size_t>(latent.numel()));
      snap(module->scheme().lattice_of(spec.name), std::span(latent.data_ptr<float>(), used.size()), used);
      const std::vector<float> stored = decode_tensor(*checkpoint.find(spec.name));
      ASSERT_EQ(stored.size(), used.size());
      EXPECT_EQ(std::memcmp(stored.data(), used.data(), used.size() * sizeof(float)), 0) << target << " " << spec.name;
    }
    // And the module that is loaded from it computes what the trained one computes.
    GemmaTorch again = loaded(checkpoint, "f32");
    const std::vector<int32_t> ids = {2, 9, 30, 31, 40};
    EXPECT_EQ(module_logits(*again, ids), module_logits(*module, ids));
  }
}

}  // namespace
}  // namespace carat
