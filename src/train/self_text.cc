#include "train/self_text.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include "kernels/select.h"
#include "session/session.h"

namespace carat {
namespace {

constexpr float kOwnDistribution = 1.0f;  // temperature at which samples follow the model's probabilities

/// Sequence `index`, without BOS. A stop id in the middle is followed by a fresh start.
Status write_sequence(Model& model, const SelfTextOptions& options, uint64_t index, std::span<int32_t> out) {
  const SamplingOptions sampling{.temperature = kOwnDistribution, .seed = options.seed * 0x9e3779b97f4a7c15u + index};
  CARAT_TRY(Session session, Session::create(model, {.context = 0, .sampling = sampling}));
  const int32_t bos = model.vocabulary().bos;
  CARAT_TRY_STATUS(session.prefill(std::span(&bos, 1)));
  for (int32_t& id : out) {
    CARAT_TRY(id, session.next());
  }
  return success();
}

class Writers {
 public:
  Writers(const Checkpoint& checkpoint, const SelfTextOptions& options, const std::function<void(int64_t)>& progress,
          const std::atomic<bool>& stop)
      : checkpoint_(checkpoint),
        options_(options),
        progress_(progress),
        stop_(stop),
        tokens_(static_cast<size_t>(options.tokens)) {}

  Result<std::vector<int32_t>> write() {
    std::vector<std::thread> threads;
    for (int i = 0; i < options_.threads; ++i) {
      threads.emplace_back([this] {
        if (Status status = work(); !status.ok()) report(status.error());
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (error_) return *error_;
    return std::move(tokens_);
  }

 private:
  Status work() {
    CARAT_TRY(const Kernels* kernels, select_kernels());
    Ops ops(*kernels, 1);
    CARAT_TRY(Model model, Model::create(checkpoint_, ops));
    const auto length = static_cast<size_t>(options_.sequence);
    while (true) {
      const size_t index = next_.fetch_add(1);
      if (index * length >= tokens_.size() || failed_) return success();
      if (stop_) return Error{ErrorKind::kInterrupted, "interrupted while the model wrote its training text"};
      const size_t count = std::min(length, tokens_.size() - index * length);
      CARAT_TRY_STATUS(write_sequence(model, options_, index, std::span(tokens_).subspan(index * length, count)));
      const std::lock_guard lock(mutex_);
      written_ += static_cast<int64_t>(count);
      progress_(written_);
    }
  }

  void report(const Error& error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = error;
    failed_ = true;
  }

  const Checkpoint& checkpoint_;
  const SelfTextOptions& options_;
  const std::function<void(int64_t)>& progress_;
  const std::atomic<bool>& stop_;
  std::vector<int32_t> tokens_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;  // guards the members below and the calls of progress_
  int64_t written_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<std::vector<int32_t>> write_self_text(const Checkpoint& checkpoint, const SelfTextOptions& options,
                                             const std::function<void(int64_t)>& progress,
                                             const std::atomic<bool>& stop) {
  if (options.tokens <= 0 || options.sequence <= 0 || options.threads <= 0) {
    return wrong_usage("tokens to write, sequence and threads must be positive");
  }
  if (options.sequence > checkpoint.config().context) {
    return wrong_usage("a sequence of " + std::to_string(options.sequence) +
                       " tokens does not fit the model's context of " + std::to_string(checkpoint.config().context) +
                       "; use a shorter --sequence");
  }
  return Writers(checkpoint, options, progress, stop).write();
}

}  // namespace carat
