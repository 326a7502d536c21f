#include "loaded_model.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/memory.h"
#include "memory_limit.h"

namespace carat {
namespace {

std::optional<int64_t> context_of(const GenerationFlags& flags) {
  return flags.context == 0 ? std::nullopt : std::optional(flags.context);
}

Result<std::optional<DType>> cache_type_of(const GenerationFlags& flags) {
  if (!flags.cache_type) return std::optional<DType>();
  CARAT_TRY(const DType type, cache_type_named(*flags.cache_type));
  return std::optional(type);
}

}  // namespace

Result<OpenModel> open_model(const std::filesystem::path& path, int threads) {
  const uint64_t before = held_bytes();
  CARAT_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  CARAT_TRY(Tokenizer tokenizer, Tokenizer::create(checkpoint.vocabulary()));
  checkpoint.drop_pieces();
  release_free_memory();
  const uint64_t after = held_bytes();
  const ProcessBytes process = {.program = program_bytes(before, threads),
                                .vocabulary = after - std::min(before, after)};
  return OpenModel{std::move(checkpoint), std::move(tokenizer), process};
}

Result<LoadedModel> load_model(const ModelOptions& options, const GenerationFlags& flags,
                               const PositionsNeeded& needed) {
  const auto start = std::chrono::steady_clock::now();
  LoadedModel loaded;
  CARAT_TRY(loaded.ops, create_ops(options.threads));
  CARAT_TRY(OpenModel opened, open_model(options.model, loaded.ops->threads()));
  loaded.tokenizer = std::make_unique<Tokenizer>(std::move(opened.tokenizer));
  Checkpoint& checkpoint = opened.checkpoint;
  const ProcessBytes& process = opened.process;
  const ModelSizes sizes = sizes_of(checkpoint);
  CARAT_TRY(const std::optional<DType> cache_type, cache_type_of(flags));
  CARAT_TRY(MemoryWishes wishes, wishes_for(sizes, context_of(flags), flags.batch, cache_type));
  if (needed) wishes.least_context = std::min(needed(*loaded.tokenizer), wishes.wanted.context);
  CARAT_TRY(const MemoryChoice choice, choose_within(options.max_memory, options.model, sizes, process, wishes));

  CARAT_TRY(const SamplingOptions sampling, sampling_options(flags, checkpoint.vocabulary().sampling));
  const ModelSettings settings = {.batch = choice.batch,
                                  .input_quantizers = options.quantizers.inputs,
                                  .output_quantizers = options.quantizers.outputs};
  CARAT_TRY(Model model, Model::create(std::move(checkpoint), *loaded.ops, settings));
  loaded.model = std::make_unique<Model>(std::move(model));
  CARAT_TRY(Session session,
            Session::create(*loaded.model,
                            {.context = choice.context, .cache_type = choice.cache_type, .sampling = sampling}));
  loaded.session = std::make_unique<Session>(std::move(session));
  loaded.plan = plan_memory(sizes, process, loaded.session->context(), loaded.session->cache_options());
  loaded.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return loaded;
}

}  // namespace carat
