#include "train/trainer.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/memory.h"
#include "train/adamw.h"
#include "train/export.h"
#include "train/gemma_torch.h"
#include "train/head_loss.h"
#include "train/training_state.h"

namespace carat {
namespace {

using Clock = std::chrono::steady_clock;

using Settings = std::vector<std::pair<std::string, Setting>>;

/// What must be the same when a run is resumed.
Settings settings_of(const TrainOptions& options, bool distil) {
  return {
      {"scheme", options.scheme.name},
      {"steps", options.steps},
      {"warmup", options.warmup},
      {"batch", options.batch},
      {"accumulate", options.accumulate},
      {"sequence", options.sequence},
      {"learning_rate", options.learning_rate},
      {"weight_decay", options.weight_decay},
      {"seed", options.seed},
      {"distillation", distil},
      {"bfloat16", options.bfloat16},
  };
}

std::string settings_json(const Settings& settings) {
  nlohmann::ordered_json json;
  for (const auto& [name, setting] : settings) {
    std::visit([&, &key = name](const auto& value) { json[key] = value; }, setting);
  }
  return json.dump();
}

Status check_options(const TrainOptions& options, const Corpus& corpus, const ModelConfig& config) {
  const bool positive = options.steps > 0 && options.batch > 0 && options.accumulate > 0 && options.sequence > 1 &&
                        options.learning_rate > 0 && options.threads > 0;
  if (config.experts > 0) {
    return refused("the model has " + std::to_string(config.experts) +
                   " experts in each layer: mixtures of experts are not supported in training; train a model without");
  }
  if (!positive) {
    return wrong_usage("steps, batch, accumulate, threads and the learning rate must be positive, sequence at least 2");
  }
  if (options.sequence > config.context) {
    return wrong_usage("a sequence of " + std::to_string(options.sequence) +
                       " tokens is longer than the model's context of " + std::to_string(config.context) +
                       "; use a shorter --sequence");
  }
  if (static_cast<int64_t>(corpus.size()) < options.sequence) {
    return wrong_usage("the training text has " + std::to_string(corpus.size()) +
                       " tokens, fewer than one sequence of " + std::to_string(options.sequence) +
                       "; use more text or a shorter --sequence");
  }
  return success();
}

class Run {
 public:
  Run(const ModelConfig& config, const Vocabulary& vocabulary, const Checkpoint* start, Corpus& corpus,
      const TrainOptions& options)
      : vocabulary_(vocabulary),
        corpus_(corpus),
        options_(options),
        device_(options.device),
        settings_(settings_of(options, start != nullptr)),
        student_(config, options.scheme) {
    const at::ScalarType precision = options.bfloat16 ? at::kBFloat16 : at::kFloat;
    student_->set_precision(precision);
    if (start == nullptr) {
      student_->initialise(options.seed);
    } else {
      student_->load(*start);
      teacher_ = GemmaTorch(config, *built_in_scheme("f32"));
      teacher_->set_precision(precision);
      teacher_->load(*start);
      teacher_->to(device_);
    }
    student_->to(device_);
    precision_ = precision;
  }

  Status go(const StepObserver& observer, const std::atomic<bool>& stop) {
    std::vector<TrainedTensor> tensors = trained_tensors();
    int64_t step = 0;
    if (options_.resume) {
      CARAT_TRY(step, load_training_state(options_.output, tensors, settings_json(settings_)));
    }
    AdamW optimizer(std::move(tensors), {.weight_decay = options_.weight_decay});
    while (step < options_.steps) {
      ++step;
      CARAT_TRY(const StepReport report, update(optimizer, step));
      observer(report);
      const bool last = step == options_.steps;
      if (stop && !last) {
        CARAT_TRY_STATUS(save(optimizer, step));
        return Error{ErrorKind::kInterrupted, "interrupted after step " + std::to_string(step) +
                                                  "; run the same command with --resume to go on"};
      }
      if (last || (options_.save_every > 0 && step % options_.save_every == 0)) {
        CARAT_TRY_STATUS(save(optimizer, step));
      }
    }
    return success();
  }

 private:
  std::vector<TrainedTensor> trained_tensors() {
    std::vector<TrainedTensor> tensors;
    for (const TensorSpec& spec : expected_tensors(student_->config())) {
      const at::Tensor weight = student_->latent(spec.name);
      if (!weight.requires_grad()) continue;
      tensors.push_back({spec.name, weight, at::zeros_like(weight.detach()), at::zeros_like(weight.detach())});
    }
    return tensors;
  }

  Result<StepReport> update(AdamW& optimizer, int64_t step) {
    const auto begin = Clock::now();
    double loss = 0;
    for (int64_t pass = 0; pass < options_.accumulate; ++pass) {
      const int64_t first = ((step - 1) * options_.accumulate + pass) * options_.batch;
      at::Tensor part = pass_loss(corpus_.batch(options_.seed, first, options_.batch, options_.sequence)) /
                        static_cast<double>(options_.accumulate);
      part.backward();
      loss += part.item<double>();
    }
    if (!std::isfinite(loss)) {
      return failed("the loss of step " + std::to_string(step) +
                    " is not finite; use a lower --lr or a longer --warmup");
    }
    const double rate = learning_rate_at(step, options_.steps, options_.warmup, options_.learning_rate);
    optimizer.update(step, rate);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto tokens = static_cast<double>(options_.accumulate * options_.batch * options_.sequence);
    return StepReport{
        step, loss, teacher_ ? std::optional(loss) : std::nullopt, rate, tokens / seconds, peak_rss_bytes()};
  }

  at::Tensor pass_loss(Batch batch) {
    const auto on_device = [&](std::vector<int64_t>& values) {
      return at::from_blob(values.data(), {batch.sequences, batch.length}, at::kLong)
          .to(device_, /*non_blocking=*/false, /*copy=*/true);
    };
    const at::Tensor ids = on_device(batch.ids);
    const Head student = head(*student_, ids);
    if (!teacher_) return next_token_loss(student, on_device(batch.labels).flatten());
    torch::NoGradGuard no_grad;
    const Head teacher = head(*teacher_, ids);
    at::AutoGradMode with_grad(true);
    return distillation_loss(student, teacher);
  }

  Head head(GemmaTorchImpl& module, const at::Tensor& ids) {
    const GemmaTorchImpl::Output output = module.forward(ids);
    return {output.hidden.flatten(0, 1), output.head, module.config().softcap, precision_};
  }

  /// The checkpoint first: a state without its checkpoint would look like a finished run that left nothing.
  Status save(const AdamW& optimizer, int64_t step) {
    CARAT_TRY([[maybe_unused]] const uint64_t bytes,
              export_checkpoint(options_.output, *student_, vocabulary_, provenance_at(step)));
    return save_training_state(options_.output, optimizer.tensors(), step, settings_json(settings_));
  }

  Provenance provenance_at(int64_t step) const {
    ProvenanceStep run = options_.provenance;
    run.command = "train";
    run.scheme = options_.scheme.name;
    run.recipe.insert(settings_.begin(), settings_.end());
    run.recipe["steps_done"] = step;
    Provenance provenance = student_->config().provenance;
    add_step(provenance, std::move(run));
    return provenance;
  }

  const Vocabulary& vocabulary_;
  Corpus& corpus_;
  const TrainOptions& options_;
  const at::Device device_;
  const Settings settings_;
  at::ScalarType precision_ = at::kFloat;
  GemmaTorch student_;
  GemmaTorch teacher_{nullptr};
};

}  // namespace

Status train(const ModelConfig& config, const Vocabulary& vocabulary, const Checkpoint* start, Corpus& corpus,
             const TrainOptions& options, const StepObserver& observer, const std::atomic<bool>& stop) {
  CARAT_TRY_STATUS(check_options(options, corpus, config));
  try {
    if (options.device.starts_with("cuda") && !torch::cuda::is_available()) {
      return wrong_usage("--device " + options.device + ": this libtorch sees no CUDA device; use --device cpu");
    }
    at::set_num_threads(options.threads);
    return Run(config, vocabulary, start, corpus, options).go(observer, stop);
  } catch (const c10::Error& error) {
    return failed(std::string("libtorch: ") + error.what_without_backtrace());
  } catch (const std::exception& error) {
    return failed(std::string("training: ") + error.what());
  }
}

}  // namespace carat
