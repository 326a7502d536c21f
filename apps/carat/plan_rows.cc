#include "plan_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

#include "figures.h"
#include "model/parameter_count.h"

namespace carat {
namespace {

// With what is right of it, 120 columns.
constexpr size_t kWidestName = 16;

// Slower than people read.
constexpr double kQuickTokens = 5;

struct Column {
  const char* title;
  int width;  ///< to the right, the title and the space before it included; negative: to the left
  std::string (*text)(const PlanRow&);
};

using Columns = std::array<Column, 13>;

/// Nothing is written for what is not there.
std::string bytes_or_dash(uint64_t bytes) { return bytes == 0 ? "-" : bytes_text(bytes); }

const Columns kColumns = {{
    {"model", -9, [](const PlanRow& row) { return row.model.substr(0, kWidestName); }},
    {"scheme", -7, [](const PlanRow& row) { return row.scheme; }},
    {"context", 8, [](const PlanRow& row) { return std::to_string(row.context); }},
    {"mapped", 9, [](const PlanRow& row) { return bytes_text(row.plan.weights_mapped); }},
    {"weights", 9, [](const PlanRow& row) { return bytes_text(row.plan.weights_resident()); }},
    {"on disk", 9, [](const PlanRow& row) { return bytes_or_dash(row.plan.per_layer_table); }},
    {"KV", 9, [](const PlanRow& row) { return bytes_text(row.plan.kv_cache.total()); }},
    {"scratch", 9,
     [](const PlanRow& row) { return bytes_text(row.plan.activations + row.plan.sampling + row.plan.per_layer_rows); }},
    {"drafter", 9, [](const PlanRow& row) { return bytes_or_dash(row.plan.drafter); }},
    {"encoders", 9, [](const PlanRow& row) { return bytes_or_dash(row.plan.left_on_disk); }},
    {"total", 9, [](const PlanRow& row) { return bytes_text(row.plan.total()); }},
    {"fits", 6, [](const PlanRow& row) { return std::string(row.fits ? "yes" : "no"); }},
    {"tokens/s", 10, [](const PlanRow& row) { return row.tokens_per_s > 0 ? rate_text(row.tokens_per_s) : "-"; }},
}};

std::string padded(const std::string& text, int width) {
  const auto wanted = static_cast<size_t>(std::abs(width));
  const std::string space(wanted - std::min(wanted, text.size()), ' ');
  return width < 0 ? text + (space.empty() ? " " : space) : space + text;
}

/// The first column is as wide as the longest name.
Columns columns_for(std::span<const PlanRow> rows) {
  Columns columns = kColumns;
  Column& names = columns.front();
  for (const PlanRow& row : rows) names.width = std::min(names.width, -static_cast<int>(names.text(row).size()) - 1);
  return columns;
}

/// "f32", or "bf16, q4_0 as f32, mobile as int8" where schemes differ.
std::string cache_types_text(std::span<const PlanRow> rows) {
  std::map<DType, std::set<std::string>> schemes;
  for (const PlanRow& row : rows) schemes[row.cache_type].insert(row.scheme);
  if (schemes.size() == 1) return "as " + std::string(cache_type_name(rows.front().cache_type));
  std::string text;
  for (const auto& [type, names] : schemes) {
    for (const std::string& name : names) text += (text.empty() ? "of " : ", ") + name;
    text += " as " + std::string(cache_type_name(type));
  }
  return text;
}

std::string machine_text(const Machine& machine) {
  return (machine.available == 0 ? "unknown memory" : bytes_text(machine.available) + " of free memory") +
         ", which is read at " + bytes_text(static_cast<uint64_t>(machine.bandwidth)) + "/s";
}

/// "e2b as q4_0 with a context of 4096".
std::string variant_text(const PlanRow& row) {
  return row.model.substr(0, kWidestName) + " as " + row.scheme + " with a context of " + std::to_string(row.context);
}

PlanRow row_of(const PlannedModel& model, int64_t context, DType cache_type, const Machine& machine) {
  const ModelConfig& config = model.sizes.config;
  PlanRow row = {.model = model.name, .scheme = model.scheme, .context = context, .cache_type = cache_type};
  row.parameters = count_parameters(config).used();
  row.plan = plan_memory(model.sizes, model.process, context, {.type = cache_type});
  row.fits = machine.available == 0 || row.plan.total() <= machine.available;
  row.read_for_token = model.sizes.read_for_token + key_value_bytes_read(config, context, cache_type);
  row.tokens_per_s = machine.bandwidth / static_cast<double>(row.read_for_token);
  return row;
}

bool is_better(const PlanRow& a, const PlanRow& b) {
  const auto rank = [](const PlanRow& row) {
    const bool quick = row.tokens_per_s >= kQuickTokens;
    return std::tuple(row.fits, quick, quick ? 0.0 : row.tokens_per_s, row.parameters, row.plan.weights_mapped,
                      row.context);
  };
  return rank(a) > rank(b);
}

}  // namespace

std::vector<PlanRow> plan_rows(const PlannedModel& model, std::span<const int64_t> contexts,
                               std::optional<DType> cache_type, const Machine& machine) {
  const ModelConfig& config = model.sizes.config;
  const DType type = cache_type.value_or(default_cache_type(config, model.sizes.scales));
  std::vector<PlanRow> rows;
  for (const int64_t wanted : contexts) {
    const int64_t context = std::min(wanted, config.context);
    if (rows.empty() || rows.back().context != context) rows.push_back(row_of(model, context, type, machine));
  }
  return rows;
}

std::string recommendation(std::span<const PlanRow> rows, const Machine& machine) {
  const PlanRow& best = *std::ranges::min_element(rows, is_better);
  if (!best.fits) {
    const PlanRow& least = *std::ranges::min_element(rows, {}, [](const PlanRow& row) { return row.plan.total(); });
    return "None of these fits: the smallest, " + variant_text(least) + ", lacks " +
           bytes_text(least.plan.total() - machine.available) + ".";
  }
  return "Recommended: " + variant_text(best) + ": " + bytes_text(best.plan.total()) +
         (machine.available == 0 ? "" : " of " + bytes_text(machine.available)) + ", at most " +
         rate_text(best.tokens_per_s) + " tokens/s" +
         (best.tokens_per_s < kQuickTokens ? "; nothing that fits is quicker." : ".");
}

std::string plan_table(std::span<const PlanRow> rows, const Machine& machine) {
  std::string text;
  const Columns columns = columns_for(rows);
  for (const Column& column : columns) text += padded(column.title, column.width);
  text += "\n";
  for (const PlanRow& row : rows) {
    for (const Column& column : columns) text += padded(column.text(row), column.width);
    text += "\n";
  }
  const PlanRow& first = rows.front();
  return text + "\nmapped    weights in the file, of which \"on disk\", the per-layer table, is never in memory\n" +
         "KV        keys and values, " + cache_types_text(rows) + "\n" +
         "scratch   activations, the sampler, the rows of that table that are kept\n" +
         "encoders  vision, audio and what else is in the file and not loaded\n" +
         "total     what is in memory with the context full: also program and vocabulary, " +
         bytes_text(first.plan.process.program + first.plan.process.vocabulary) + "\n" +
         "tokens/s  no more than these: what is read for a token, at the speed of this machine's memory\n\n" +
         "This machine has " + machine_text(machine) + ".\n" + recommendation(rows, machine) + "\n";
}

std::string memory_text(const MemoryPlan& plan) {
  const std::string table = plan.per_layer_table == 0
                                ? ""
                                : " (and " + bytes_text(plan.per_layer_table) + " on disk, of which rows are read)";
  return bytes_text(plan.total()) + ": weights " + bytes_text(plan.weights_resident()) + table + ", keys and values " +
         bytes_text(plan.kv_cache.total()) + ", activations " + bytes_text(plan.activations) +
         ", program, vocabulary and the rest " +
         bytes_text(plan.total() - plan.weights_resident() - plan.kv_cache.total() - plan.activations);
}

nlohmann::ordered_json to_json(const MemoryPlan& plan) {
  return {{"weights", plan.weights_mapped + plan.weights_decoded},
          {"weights_resident", plan.weights_resident()},
          {"per_layer_table", plan.per_layer_table},
          {"per_layer_rows", plan.per_layer_rows},
          {"keys_and_values", plan.kv_cache.total()},
          {"activations", plan.activations},
          {"sampling", plan.sampling},
          {"vocabulary", plan.process.vocabulary},
          {"program", plan.process.program},
          {"drafter", plan.drafter},
          {"left_on_disk", plan.left_on_disk},
          {"resident", plan.total()}};
}

nlohmann::ordered_json to_json(std::span<const PlanRow> rows, const Machine& machine) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PlanRow& row : rows) {
    list.push_back({{"model", row.model},
                    {"scheme", row.scheme},
                    {"parameters", row.parameters},
                    {"context", row.context},
                    {"cache_type", cache_type_name(row.cache_type)},
                    {"planned_bytes", to_json(row.plan)},
                    {"fits", row.fits},
                    {"bytes_read_for_token", row.read_for_token},
                    {"most_tokens_per_s", row.tokens_per_s}});
  }
  return {{"available_bytes", machine.available},
          {"bandwidth_bytes_per_s", machine.bandwidth},
          {"rows", std::move(list)},
          {"recommendation", recommendation(rows, machine)}};
}

}  // namespace carat
