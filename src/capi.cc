#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "base/cpu.h"
#include "carat/carat.h"
#include "kernels/select.h"
#include "session/session.h"
#include "text/tokenizer.h"

struct carat_model {
  std::unique_ptr<carat::Ops> ops;
  carat::Model model;
  carat::Tokenizer tokenizer;
};

struct carat_session {
  carat::Session session;
};

namespace {

using carat::Result;
using carat::Status;

int32_t code_of(carat::ErrorKind kind) {
  switch (kind) {
    case carat::ErrorKind::kFailed:
      return CARAT_FAILED;
    case carat::ErrorKind::kUsage:
      return CARAT_WRONG_USAGE;
    case carat::ErrorKind::kRefused:
      return CARAT_REFUSED;
    case carat::ErrorKind::kInterrupted:
      return CARAT_INTERRUPTED;
  }
  return CARAT_FAILED;
}

int32_t report(const carat::Error& failure, char** error) {
  if (error != nullptr) *error = ::strdup(failure.message.c_str());
  return code_of(failure.kind);
}

/// Calls `body`, which returns a Result; lack of memory becomes an error too, for C knows no exceptions.
template <typename Body>
auto without_exceptions(const Body& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return carat::failed("there is not enough memory");
  }
}

/// The same for work that has no error but lack of memory, which is then -1.
template <typename Body>
int64_t count_or_minus_one(const Body& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return -1;
  }
}

size_t at_least_zero(int64_t count) { return static_cast<size_t>(std::max<int64_t>(count, 0)); }

template <typename T>
int64_t fill(const T* values, size_t count, T* out, int64_t capacity) {
  std::copy_n(values, std::min(count, at_least_zero(capacity)), out);
  return static_cast<int64_t>(count);
}

Result<std::unique_ptr<carat_model>> open_model(const char* path, int32_t threads) {
  CARAT_TRY(const carat::Kernels* kernels, carat::select_kernels());
  auto ops = std::make_unique<carat::Ops>(*kernels, threads > 0 ? threads : carat::available_cores());
  CARAT_TRY(carat::Model model, carat::Model::load(path, *ops));
  CARAT_TRY(carat::Tokenizer tokenizer, carat::Tokenizer::create(model.vocabulary()));
  return std::unique_ptr<carat_model>(new carat_model{std::move(ops), std::move(model), std::move(tokenizer)});
}

std::vector<carat::LogitBias> logit_bias(const carat_session_options& options) {
  std::vector<carat::LogitBias> biases;
  for (size_t i = 0; i < at_least_zero(options.logit_bias_count); ++i) {
    biases.push_back({options.logit_bias[i].id, options.logit_bias[i].value});
  }
  return biases;
}

carat::SamplingOptions sampling_options(const carat_session_options& options) {
  return {.temperature = options.temperature,
          .top_k = options.top_k,
          .top_p = options.top_p,
          .min_p = options.min_p,
          .repetition_penalty = options.repetition_penalty == 0.0f ? 1.0f : options.repetition_penalty,
          .presence_penalty = options.presence_penalty,
          .frequency_penalty = options.frequency_penalty,
          .penalty_window = options.penalty_window == 0 ? 64 : options.penalty_window,
          .logit_bias = logit_bias(options),
          .seed = options.seed};
}

Result<carat::SessionOptions> session_options(const carat::Vocabulary& vocabulary,
                                              const carat_session_options* options) {
  carat::SessionOptions wanted;
  if (options == nullptr) {
    const carat::SamplingDefaults& own = vocabulary.sampling;
    wanted.sampling = {.temperature = own.temperature, .top_k = own.top_k, .top_p = own.top_p};
    return wanted;
  }
  wanted.context = options->context;
  wanted.sampling = sampling_options(*options);
  if (options->cache_type != nullptr) {
    CARAT_TRY(wanted.cache_type, carat::cache_type_named(options->cache_type));
  }
  return wanted;
}

}  // namespace

carat_model* carat_model_open(const char* path, int32_t threads, char** error) {
  auto model = without_exceptions([&] { return open_model(path, threads); });
  if (model.ok()) return model->release();
  report(model.error(), error);
  return nullptr;
}

void carat_model_free(carat_model* model) { delete model; }

int32_t carat_model_vocabulary_size(const carat_model* model) {
  return static_cast<int32_t>(model->model.config().vocabulary);
}

int32_t carat_model_ends(const carat_model* model, int32_t id) {
  const auto& stop = model->model.vocabulary().stop;
  return std::find(stop.begin(), stop.end(), id) != stop.end() ? 1 : 0;
}

int64_t carat_model_encode(const carat_model* model, const char* text, int64_t length, int32_t* ids, int64_t capacity) {
  return count_or_minus_one([&] {
    std::vector<int32_t> all = {model->tokenizer.bos()};
    const std::vector<int32_t> encoded = model->tokenizer.encode({text, at_least_zero(length)});
    all.insert(all.end(), encoded.begin(), encoded.end());
    return fill(all.data(), all.size(), ids, capacity);
  });
}

int64_t carat_model_decode(const carat_model* model, const int32_t* ids, int64_t count, char* text, int64_t capacity) {
  return count_or_minus_one([&] {
    const std::string decoded = model->tokenizer.decode({ids, at_least_zero(count)});
    return fill(decoded.data(), decoded.size(), text, capacity);
  });
}

carat_session* carat_session_open(carat_model* model, const carat_session_options* options, char** error) {
  auto session = without_exceptions([&]() -> Result<std::unique_ptr<carat_session>> {
    CARAT_TRY(const carat::SessionOptions wanted, session_options(model->model.vocabulary(), options));
    CARAT_TRY(carat::Session opened, carat::Session::create(model->model, wanted));
    return std::unique_ptr<carat_session>(new carat_session{std::move(opened)});
  });
  if (session.ok()) return session->release();
  report(session.error(), error);
  return nullptr;
}

void carat_session_free(carat_session* session) { delete session; }

int32_t carat_session_prefill(carat_session* session, const int32_t* ids, int64_t count, char** error) {
  const Status status = without_exceptions([&] { return session->session.prefill({ids, at_least_zero(count)}); });
  return status.ok() ? CARAT_OK : report(status.error(), error);
}

int32_t carat_session_next(carat_session* session, int32_t* id, char** error) {
  const Result<int32_t> next = without_exceptions([&] { return session->session.next(); });
  if (!next.ok()) return report(next.error(), error);
  *id = *next;
  return CARAT_OK;
}

int64_t carat_session_position(const carat_session* session) { return session->session.position(); }

int32_t carat_session_rewind(carat_session* session, int64_t position, char** error) {
  const int64_t reached = session->session.position();
  if (position < 0 || position > reached) {
    return report(carat::wrong_usage("rewind: expected a position from 0 to " + std::to_string(reached) + ", found " +
                                     std::to_string(position)),
                  error);
  }
  session->session.rewind(position);
  return CARAT_OK;
}

void carat_string_free(char* text) { std::free(text); }
