#include "memory_limit.h"

#include <algorithm>

#include "base/memory.h"
#include "figures.h"
#include "formats/quote.h"
#include "model/mobile_scheme.h"
#include "output.h"
#include "session/session.h"

namespace carat {
namespace {

constexpr const char* kOption = "--max-memory";
constexpr const char* kProposed[] = {"q8_0", "q4_0", "mobile"};

/// What a session is to have, and what that takes.
struct Demand {
  MemoryWishes wishes;
  MemoryCost cost;
};

/// The same shape with another scheme.
struct OtherScheme {
  std::string name;
  Demand demand;
};

/// One line for each point in which the choice differs, with what it saves on top of those before it.
void say_differences(const Demand& demand, const MemoryChoice& choice) {
  MemoryChoice step = demand.wishes.wanted;
  const auto take = [&](auto point, const std::string& what, const auto& text) {
    if (step.*point == choice.*point) return;
    const uint64_t before = demand.cost(step);
    const std::string wanted = text(step.*point);
    step.*point = choice.*point;
    const uint64_t after = demand.cost(step);
    write_note(std::string(kOption) + ": " + what + " " + text(choice.*point) + " instead of " + wanted + " saves " +
               bytes_text(before - std::min(before, after)));
  };
  const auto number = [](int64_t value) { return std::to_string(value); };
  take(&MemoryChoice::batch, "a batch of", number);
  take(&MemoryChoice::context, "a context of", number);
  take(&MemoryChoice::cache_type, "keys and values as", [](DType type) { return std::string(cache_type_name(type)); });
}

/// "-c 2048 --cache-type q8_0": the options that make a choice of what is wanted.
std::string options_text(const MemoryChoice& choice, const MemoryChoice& wanted) {
  std::string text;
  if (choice.context != wanted.context) text += " -c " + std::to_string(choice.context);
  if (choice.cache_type != wanted.cache_type)
    text += " --cache-type " + std::string(cache_type_name(choice.cache_type));
  if (choice.batch != wanted.batch) text += " -b " + std::to_string(choice.batch);
  return text;
}

/// The line of another scheme, empty when it does not fit either.
std::string line_of(const OtherScheme& other, uint64_t limit) {
  const auto choice = fit_memory(other.demand.wishes, limit, other.demand.cost);
  if (!choice) return "";
  const std::string options = options_text(*choice, other.demand.wishes.wanted);
  return "\n  a model with --scheme " + other.name + (options.empty() ? "" : " and" + options) + " needs " +
         bytes_text(other.demand.cost(*choice));
}

Error refusal(uint64_t limit, const std::filesystem::path& model, const Demand& demand,
              const std::vector<OtherScheme>& others) {
  const MemoryChoice& wanted = demand.wishes.wanted;
  const uint64_t needed = demand.cost(wanted);
  const std::string text = printable(model.string()) + ": needs " + bytes_text(needed) + " with a context of " +
                           std::to_string(wanted.context) + ", a batch of " + std::to_string(wanted.batch) +
                           " and keys and values as " + std::string(cache_type_name(wanted.cache_type)) + "; " +
                           kOption + " allows " + bytes_text(limit) + ", " + bytes_text(needed - limit) + " less";
  std::string help;
  for (const MemorySaving& saving : memory_savings(demand.wishes, limit, demand.cost)) {
    help += "\n " + options_text(saving.choice, wanted) + " saves " + bytes_text(saving.saved) +
            (saving.fits ? ": enough" : ": not enough");
  }
  for (const OtherScheme& other : others) help += line_of(other, limit);
  return refused(text + (help.empty() ? "; choose a smaller model" : "\nWhat would help:" + help));
}

/// The plan's total, but no less than the process has held already.
MemoryCost session_cost(const ModelSizes& sizes, const ProcessBytes& process) {
  return [sizes, process, held = peak_rss_bytes()](const MemoryChoice& choice) {
    const CacheOptions options = {.type = choice.cache_type, .batch = choice.batch};
    return std::max(plan_memory(sizes, process, choice.context, options).total(), held);
  };
}

/// The schemes that make this shape smaller, with what the user has fixed.
std::vector<OtherScheme> smaller_schemes(const ModelSizes& sizes, const ProcessBytes& process,
                                         const MemoryWishes& wishes) {
  const auto fixed = [](bool is_fixed, const auto& value) { return is_fixed ? std::optional(value) : std::nullopt; };
  std::vector<OtherScheme> others;
  for (const char* name : kProposed) {
    const auto scheme = load_scheme(name, sizes.config);
    if (!scheme.ok()) continue;
    const auto other = sizes_of(sizes.config, *scheme);
    if (!other.ok() || other->weights >= sizes.weights) continue;
    auto others_wishes = wishes_for(*other, fixed(wishes.context_fixed, wishes.wanted.context),
                                    fixed(wishes.batch_fixed, wishes.wanted.batch),
                                    fixed(wishes.cache_type_fixed, wishes.wanted.cache_type));
    if (!others_wishes.ok()) continue;
    others_wishes->least_context = wishes.least_context;
    others.push_back({name, {*std::move(others_wishes), session_cost(*other, process)}});
  }
  return others;
}

Result<MemoryChoice> choose(uint64_t limit, const std::filesystem::path& model, const Demand& demand,
                            const std::function<std::vector<OtherScheme>()>& others) {
  if (limit == 0) return demand.wishes.wanted;
  const std::optional<MemoryChoice> choice = fit_memory(demand.wishes, limit, demand.cost);
  if (!choice) return refusal(limit, model, demand, others());
  say_differences(demand, *choice);
  return *choice;
}

}  // namespace

Result<MemoryWishes> wishes_for(const ModelSizes& sizes, std::optional<int64_t> context, std::optional<int64_t> batch,
                                std::optional<DType> cache_type) {
  CARAT_TRY_STATUS(check_context(sizes.config, context.value_or(0)));
  if (cache_type) CARAT_TRY_STATUS(check_cache_type(*cache_type, sizes.config, sizes.scales));
  MemoryWishes wishes;
  wishes.wanted.context = context.value_or(sizes.config.context);
  wishes.wanted.batch = batch.value_or(kChunkTokens);
  wishes.wanted.cache_type = cache_type.value_or(default_cache_type(sizes.config, sizes.scales));
  wishes.context_fixed = context.has_value();
  wishes.batch_fixed = batch.has_value();
  wishes.cache_type_fixed = cache_type.has_value();
  for (const DType type : {DType::kI8, DType::kQ8_0}) {
    const bool smaller = block_bytes(type) * block_elements(wishes.wanted.cache_type) <
                         block_bytes(wishes.wanted.cache_type) * block_elements(type);
    if (smaller && check_cache_type(type, sizes.config, sizes.scales).ok()) wishes.smaller_cache_types.push_back(type);
  }
  return wishes;
}

Result<MemoryChoice> choose_within(uint64_t limit, const std::filesystem::path& model, const ModelSizes& sizes,
                                   const ProcessBytes& process, const MemoryWishes& wishes) {
  return choose(limit, model, {wishes, session_cost(sizes, process)},
                [&] { return smaller_schemes(sizes, process, wishes); });
}

Result<MemoryChoice> choose_within(uint64_t limit, const std::filesystem::path& model, const MemoryWishes& wishes,
                                   const MemoryCost& cost) {
  return choose(limit, model, {wishes, cost}, [] { return std::vector<OtherScheme>(); });
}

}  // namespace carat
