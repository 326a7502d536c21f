#include "loaded_model.h"

#include <chrono>
#include <utility>

namespace carat {

Result<LoadedModel> load_model(const ModelOptions& options, const GenerationFlags& flags) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  CARAT_TRY(loaded.ops, create_ops(options.threads));
  CARAT_TRY(Model model, Model::load(options.model, *loaded.ops, flags.batch));
  loaded.model = std::make_unique<Model>(std::move(model));
  const Vocabulary& vocabulary = loaded.model->vocabulary();
  CARAT_TRY(Tokenizer tokenizer, Tokenizer::create(vocabulary));
  loaded.tokenizer = std::make_unique<Tokenizer>(std::move(tokenizer));
  CARAT_TRY(const SessionOptions wanted, session_options(flags, vocabulary.sampling));
  CARAT_TRY(Session session, Session::create(*loaded.model, wanted));
  loaded.session = std::make_unique<Session>(std::move(session));
  loaded.plan = plan_memory(loaded.model->checkpoint(), loaded.session->context(),
                            {.type = wanted.cache_type, .batch = flags.batch});
  loaded.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

}  // namespace carat
