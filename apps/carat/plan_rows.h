#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "session/plan.h"

namespace carat {

/// What this machine offers.
struct Machine {
  uint64_t available = 0;  ///< bytes of memory that a process can take; 0: not known
  double bandwidth = 0;    ///< bytes of memory that are read in a second
};

/// A model in one scheme.
struct PlannedModel {
  std::string name;
  std::string scheme;
  ModelSizes sizes;
  ProcessBytes process;
};

/// A model with a context on this machine.
struct PlanRow {
  std::string model;
  std::string scheme;
  int64_t parameters = 0;
  int64_t context = 0;
  DType cache_type = DType::kF32;
  MemoryPlan plan;
  bool fits = false;
  uint64_t read_for_token = 0;  ///< bytes, with the context full
  double tokens_per_s = 0;      ///< no token can be made faster than these bytes are read
};

/// A row for each of `contexts`, none beyond the model's own; of those beyond it the model's own is taken, once.
/// Without a cache type the model's own is.
std::vector<PlanRow> plan_rows(const PlannedModel& model, std::span<const int64_t> contexts,
                               std::optional<DType> cache_type, const Machine& machine);

/// What to run on this machine, in one line: of the rows that fit and are quick enough to talk to the largest model, of
/// these the one with the most bytes, of these the longest context; where none is quick the quickest.
std::string recommendation(std::span<const PlanRow> rows, const Machine& machine);

/// The rows as a table for people, at most 120 columns wide, with what it says about them.
std::string plan_table(std::span<const PlanRow> rows, const Machine& machine);

/// "19.4 MB: weights 3.34 MB (and 1.77 MB on disk, of which rows are read), keys and values ...".
std::string memory_text(const MemoryPlan& plan);

nlohmann::ordered_json to_json(const MemoryPlan& plan);
nlohmann::ordered_json to_json(std::span<const PlanRow> rows, const Machine& machine);

}  // namespace carat
