#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "session/memory_fit.h"
#include "session/plan.h"

namespace carat {

/// The wishes of a session with a model of these sizes. Fixed is what has a value; the rest is the model's own context,
/// a batch of kChunkTokens and the model's own cache type. Refuses a cache type that does not fit the model.
Result<MemoryWishes> wishes_for(const ModelSizes& sizes, std::optional<int64_t> context, std::optional<int64_t> batch,
                                std::optional<DType> cache_type);

/// What a session is given so that the process never holds more than `limit` bytes: all that is wanted when `limit` is
/// 0. What is made smaller is said on standard error, a line for each point. What cannot fit is refused, with the
/// options that would help, what each saves, and the schemes with which this shape would fit. `model` is its path.
Result<MemoryChoice> choose_within(uint64_t limit, const std::filesystem::path& model, const ModelSizes& sizes,
                                   const ProcessBytes& process, const MemoryWishes& wishes);

/// The same for an evaluation that several models take part in, `cost` bytes in all: no other schemes are proposed.
Result<MemoryChoice> choose_within(uint64_t limit, const std::filesystem::path& model, const MemoryWishes& wishes,
                                   const MemoryCost& cost);

}  // namespace carat
