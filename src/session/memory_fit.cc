#include "session/memory_fit.h"

#include <algorithm>

namespace carat {
namespace {

/// How far the points may go down.
struct Floor {
  int64_t batch;
  int64_t context;
  bool smaller_types;
};

class Search {
 public:
  Search(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost)
      : wishes_(wishes), limit_(limit), cost_(cost) {}

  std::optional<MemoryChoice> down_to(const Floor& floor) const {
    std::vector<DType> types = {wishes_.wanted.cache_type};
    if (floor.smaller_types && !wishes_.cache_type_fixed) {
      types.insert(types.end(), wishes_.smaller_cache_types.begin(), wishes_.smaller_cache_types.end());
    }
    for (const DType type : types) {
      MemoryChoice choice = wishes_.wanted;
      choice.cache_type = type;
      if (const auto found = smaller_batch(choice, floor.batch)) return found;
      choice.batch = least_batch(floor.batch);
      if (const auto found = smaller_context(choice, floor.context)) return found;
    }
    return std::nullopt;
  }

 private:
  bool fits(const MemoryChoice& choice) const { return cost_(choice) <= limit_; }

  int64_t least_batch(int64_t floor) const {
    return wishes_.batch_fixed ? wishes_.wanted.batch : std::min(wishes_.wanted.batch, floor);
  }

  std::optional<MemoryChoice> smaller_batch(MemoryChoice choice, int64_t floor) const {
    for (const int64_t least = least_batch(floor); !fits(choice); choice.batch = std::max(choice.batch / 2, least)) {
      if (choice.batch == least) return std::nullopt;
    }
    return choice;
  }

  std::optional<MemoryChoice> smaller_context(MemoryChoice choice, int64_t floor) const {
    if (wishes_.context_fixed) return std::nullopt;
    int64_t fitting = std::min(choice.context, std::max(floor, wishes_.least_context));
    int64_t too_large = choice.context;
    choice.context = fitting;
    if (!fits(choice)) return std::nullopt;
    while (too_large - fitting > 1) {
      choice.context = fitting + (too_large - fitting) / 2;
      (fits(choice) ? fitting : too_large) = choice.context;
    }
    choice.context = fitting;
    return choice;
  }

  const MemoryWishes& wishes_;
  uint64_t limit_;
  const MemoryCost& cost_;
};

/// The wishes with all points fixed but those that `free` lets go.
template <typename Free>
MemoryWishes only(const MemoryWishes& wishes, Free&& free) {
  MemoryWishes fixed = wishes;
  fixed.context_fixed = fixed.batch_fixed = fixed.cache_type_fixed = true;
  free(fixed);
  return fixed;
}

/// As far as these wishes go down.
MemoryChoice smallest(const MemoryWishes& wishes, const MemoryCost& cost) {
  MemoryChoice choice = wishes.wanted;
  if (!wishes.batch_fixed) choice.batch = std::min(choice.batch, kLeastBatch);
  if (!wishes.context_fixed) choice.context = std::min(choice.context, std::max(kLeastContext, wishes.least_context));
  if (wishes.cache_type_fixed) return choice;
  for (const DType type : wishes.smaller_cache_types) {
    MemoryChoice other = choice;
    other.cache_type = type;
    if (cost(other) < cost(choice)) choice = other;
  }
  return choice;
}

MemorySaving saving_of(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost) {
  const MemoryChoice choice = fit_memory(wishes, limit, cost).value_or(smallest(wishes, cost));
  const uint64_t wanted = cost(wishes.wanted);
  const uint64_t needed = cost(choice);
  return {choice, wanted - std::min(wanted, needed), needed <= limit};
}

}  // namespace

std::optional<MemoryChoice> fit_memory(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost) {
  const Search search(wishes, limit, cost);
  constexpr Floor kFloors[] = {{kComfortableBatch, kComfortableContext, false},
                               {kComfortableBatch, kComfortableContext, true},
                               {kLeastBatch, kLeastContext, true}};
  for (const Floor& floor : kFloors) {
    if (const auto found = search.down_to(floor)) return found;
  }
  return std::nullopt;
}

std::vector<MemorySaving> memory_savings(const MemoryWishes& wishes, uint64_t limit, const MemoryCost& cost) {
  std::vector<MemorySaving> savings;
  bool enough = false;
  const auto add = [&](const MemoryWishes& part) {
    const MemorySaving saving = saving_of(part, limit, cost);
    if (saving.saved == 0) return;
    enough = enough || saving.fits;
    savings.push_back(saving);
  };
  add(only(wishes, [](MemoryWishes& free) { free.context_fixed = false; }));
  add(only(wishes, [](MemoryWishes& free) { free.cache_type_fixed = false; }));
  add(only(wishes, [](MemoryWishes& free) { free.batch_fixed = false; }));
  if (!enough && savings.size() > 1) {
    add(only(wishes,
             [](MemoryWishes& free) { free.context_fixed = free.batch_fixed = free.cache_type_fixed = false; }));
  }
  return savings;
}

}  // namespace carat
